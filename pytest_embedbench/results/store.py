"""Store results as ``<org>__<model>/<revision>/<dataset>.json`` with their evidence, written whole or not at all."""

from __future__ import annotations

import csv
import hashlib
import io
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from pytest_embedbench.catalog.result_names import result_name
from pytest_embedbench.core.decoding import DecodingError, decode_json
from pytest_embedbench.core.files import file_name, path_digest, write_together
from pytest_embedbench.core.locks import machine_locked
from pytest_embedbench.core.measures import parse_measure
from pytest_embedbench.core.parsing import ParseError
from pytest_embedbench.errors import ResultError
from pytest_embedbench.results.schema import ModelRecord, PairResult
from pytest_embedbench.results.trec import dump_run, parse_run

if TYPE_CHECKING:
    from pytest_embedbench.core.runs import Run
    from pytest_embedbench.datasets.types import Dataset
    from pytest_embedbench.evaluate.metrics import Scores
    from pytest_embedbench.load.open_loop import OpenSide
    from pytest_embedbench.load.samples import Sample

SAMPLE_COLUMNS = ("sent_s", "latency_ms", "queue_ms")
"""Columns of a closed loop's samples."""
OPEN_COLUMNS = (*SAMPLE_COLUMNS, "lag_ms")
"""Columns of an open loop's samples."""

SCORE_AGAIN = "run the pair again: its stored ranking is used"
"""What to do about per-query scores that are missing or damaged."""

META_FILE = "model_meta.json"
"""MTEB's file beside its results that names the model."""
NO_REVISION = "no_revision_available"
"""MTEB's word for a model without a revision."""


CHECKED_BYTES = 4096
"""Bytes that are written to see whether a folder can be written: on a full disk an empty file still can be."""


class Store:
    """The results below one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def check_writable(self) -> None:
        """Check, before the work is done, that results can be written.

        Raises:
            ResultError: the folder cannot be written; ``where`` names it.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            # Tried rather than asked for: permissions say nothing about a full or read-only disk.
            with tempfile.TemporaryFile(dir=self.root) as file:
                file.write(bytes(CHECKED_BYTES))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise self._unwritable(error) from None

    def write(self, path: Path, content: str) -> None:
        """Write one of the store's files, whole or not at all.

        Raises:
            ResultError: it cannot be written; ``where`` names the store, so that all such errors are one cause.
        """
        self._write_together({path: content}, lambda: None)

    def _write_together(self, contents: Mapping[Path, str], before: Callable[[], None]) -> None:
        try:
            write_together(contents, before)
        except OSError as error:
            raise self._unwritable(error) from None

    def _unwritable(self, error: OSError) -> ResultError:
        fix = "make room there, or choose another folder with --embed-results; vectors are in the embedding cache"
        return ResultError(f"cannot write results: {error.strerror}", where=str(self.root), fix=fix)

    def path(self, model: ModelRecord, name: str) -> Path:
        """Return the path of the result of this model with this name (``result_name``)."""
        # MTEB's layout, so that its loader finds the results of a folder.
        revision = file_name(model.revision or NO_REVISION)
        return self.root / file_name(model.name) / revision / f"{file_name(name)}.json"

    def pair_path(self, model: ModelRecord, dataset: Dataset) -> Path:
        """Return the path of the result of this model on this dataset."""
        return self.path(model, result_name(dataset.name, dataset.split, dataset.facts.mteb_task))

    def refuse_other_model(self, path: Path, model: str) -> None:
        """Refuse to write into the folder of another model whose name becomes the same: it has one file of meta data.

        Raises:
            ResultError: the folder's ``model_meta.json`` names another model.
        """
        try:
            name = decode_json((path.parent / META_FILE).read_bytes(), dict[str, object]).get("name")
        except (OSError, DecodingError):
            return  # nothing is there, or nothing of ours
        if name not in {None, model}:
            problem = f"holds results of {name}, and {model} would have the same folder"
            fix = "give one of the models another name, or choose another folder for the results"
            raise ResultError(problem, where=str(path.parent), fix=fix)

    @contextmanager
    def locked(self, path: Path) -> Iterator[None]:
        """Hold the pair's lock: a second process waits, and can then use the result of the first."""
        # In the temporary folder, so that no lock file is left among the results.
        what = f"another process that works on {path.parent.parent.name}, {path.stem}"
        with machine_locked(f"{path_digest(path)}.lock", what):
            yield

    def load(self, path: Path) -> PairResult | None:
        """Return the stored result, or None if there is none.

        Raises:
            ResultError: the file cannot be read, or is not a result of this package; ``where`` names it.
        """
        try:
            result = decode_json(path.read_bytes(), PairResult)
            for name in result.embedbench.means:
                parse_measure(name)
        except FileNotFoundError:
            return None
        except OSError as error:
            fix = "make it readable for you, or choose another folder with --embed-results"
            raise ResultError(f"cannot be read: {error.strerror}", where=str(path), fix=fix) from None
        except (DecodingError, ParseError) as error:
            problem = f"not a pytest-embedbench result: {error}"
            raise ResultError(problem, where=str(path), fix="delete it") from None
        return result

    def load_run(self, path: Path, result: PairResult) -> Run | None:
        """Return the stored run, or None if it is missing or differs from the one that the result was computed from."""
        evidence = result.embedbench.evidence
        # A run that cannot be trusted is no error here: the caller decides whether to encode again or to refuse.
        try:
            text = (path.parent / evidence.run).read_text(encoding="utf-8") if evidence.run else ""
        except (OSError, UnicodeDecodeError):
            return None
        if not evidence.run or _sha256(text) != evidence.run_sha256:
            return None
        return parse_run(text, evidence.run)

    def save_ranking(self, path: Path, run: Run, scores: Scores, tag: str) -> dict[str, str]:
        """Write the run and the per-query scores; return their fields of ``Evidence`` (none for an empty run)."""
        if not len(run):  # nothing was ranked
            return {}
        text = dump_run(run, tag)
        run_path, query_path = path.with_suffix(".run.trec"), path.with_suffix(".per-query.jsonl")
        digest = _sha256(text)
        # Before the result, so that a result on disk always has its evidence.
        contents = {run_path: text, query_path: dump_per_query(scores)}
        self._write_together(contents, lambda: self._withdraw(path, digest))
        return {"run": run_path.name, "run_sha256": digest, "per_query": query_path.name}

    def _withdraw(self, path: Path, digest: str) -> None:
        """Remove a result whose run is about to be replaced by another one: it must never stand beside it."""
        try:
            stored = self.load(path)
        except ResultError:  # nothing of ours, and replaced in a moment
            return
        if stored and stored.embedbench.evidence.run_sha256 not in {"", digest}:
            path.unlink()

    def save_samples(self, path: Path, shape: str, side: str, samples: Sequence[Sample]) -> str:
        """Write raw latency samples as CSV; return the file's name. A queue time known only to the server is empty."""
        target = path.with_suffix(f".{shape}.{side}.csv")
        # Only an open loop has due times, so only its samples have a lag.
        columns = SAMPLE_COLUMNS if samples[0].lag_ms is None else OPEN_COLUMNS
        self.write(target, _table(columns, (_cells(sample, columns) for sample in samples)))
        return target.name

    def save_rate_samples(self, path: Path, search: str, sides: Sequence[OpenSide]) -> str:
        """Write the samples of every rate that a search tried, in order, as one CSV; return the file's name."""
        rows = ((f"{side.rate:.6g}", *_cells(sample, OPEN_COLUMNS)) for side in sides for sample in side.samples)
        target = path.with_suffix(f".{search}.csv")
        self.write(target, _table(("rate_per_s", *OPEN_COLUMNS), rows))
        return target.name

    def save(self, path: Path, result: PairResult) -> None:
        """Write the result, and MTEB's ``model_meta.json`` beside it."""
        # Sorted keys: equal results give equal files.
        content = msgspec.json.format(msgspec.json.encode(result, order="deterministic"), indent=2)
        self.write(path, content.decode() + "\n")
        meta = {"name": result.embedbench.model.name, "revision": path.parent.name}
        self.write(path.parent / META_FILE, msgspec.json.format(msgspec.json.encode(meta)).decode() + "\n")

    def results(self, folder: Path | None = None) -> Iterator[tuple[Path, PairResult]]:
        """Yield every stored result below ``folder`` (None: all) with its path, in a stable order."""
        for path in sorted((folder or self.root).rglob("*.json")):
            if path.name != META_FILE and (result := self.load(path)):
                yield path, result


def _cells(sample: Sample, columns: Sequence[str]) -> list[str]:
    """Return a sample's values: seconds with 6 decimals, milliseconds with 4; empty if unknown."""
    values = ((name, getattr(sample, name)) for name in columns)
    return ["" if value is None else f"{value:.{6 if name.endswith('_s') else 4}f}" for name, value in values]


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return rows below their header as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


def dump_per_query(scores: Scores) -> str:
    """Return per-query scores as JSON lines: ``{"query": id, "ndcg@10": value, ...}``."""
    queries = next(iter(scores.values()), {})
    return "".join(
        msgspec.json.encode({"query": query, **{name: values[query] for name, values in scores.items()}}).decode()
        + "\n"
        for query in queries
    )


def parse_per_query(content: bytes) -> Scores:
    """Read per-query scores; the inverse of ``dump_per_query``.

    Raises:
        DecodingError: a line has another form; the message names it.
    """
    scores: dict[str, dict[str, float]] = {}
    # bytes.split, since JSON leaves line separators other than line feeds in strings as they are.
    for number, line in enumerate(content.split(b"\n"), 1):
        if not line:
            continue
        try:
            record = decode_json(line, dict[str, float | str])
        except DecodingError as error:
            raise DecodingError(f"line {number}: {error}") from None
        query = record.pop("query", None)
        if not isinstance(query, str):
            raise DecodingError(f"line {number}: no query")
        for name, value in record.items():
            if not isinstance(value, float):
                raise DecodingError(f"line {number}: {name} is not a number")
            scores.setdefault(name, {})[query] = value
    return scores


def read_per_query(path: Path) -> Scores | None:
    """Return the per-query scores of a file; None if there is no such file.

    Raises:
        ResultError: the file cannot be read, or holds something else; ``where`` names it.
    """
    try:
        return parse_per_query(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ResultError(f"cannot be read: {error.strerror}", where=str(path), fix=SCORE_AGAIN) from None
    except DecodingError as error:
        raise ResultError(f"holds no per-query scores: {error}", where=str(path), fix=SCORE_AGAIN) from None


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
