"""Small projects in which a real pytest runs, and what such a run shows and leaves on disk."""

from __future__ import annotations

import gc
import itertools
import json
import os
import pty
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

from tests.support.forkserver import MAX_SECONDS, MODEL_LIBRARIES, ForkServer, import_modules

if TYPE_CHECKING:
    from pytest_embedbench.models.local.sentence_transformer import SentenceTransformerModel
    from pytest_embedbench.models.local.settings_cache import Memory
    from pytest_embedbench.models.protocol import Model
    from pytest_embedbench.models.registry import SourceCache
    from pytest_embedbench.models.spec import NamedModel
    from pytest_embedbench.results.schema import PairResult

OTHERS_OFF = ("-p", "no:hypothesispytest", "-p", "no:anyio")
"""Plugins of our own test environment that the runs under test do without."""

DOCS = {
    "volcano": "A volcano erupts when molten rock, ash and gas escape from a chamber below the crust.",
    "whale": "Whales are mammals: they come up to the surface and breathe air through a blowhole.",
    "bread": "Sourdough bread rises by wild yeast and bacteria that live in a flour and water starter.",
    "castle": "Medieval castles had thick stone walls, a moat and a drawbridge against attackers.",
    "violin": "The violin has four strings, tuned in fifths, and is played with a bow of horse hair.",
    "tea": "Green tea is steamed or pan fired soon after picking, so that its leaves do not oxidize.",
}
QUERIES = {
    "q1": "how does a volcano erupt",
    "q2": "how do whales breathe",
    "q3": "baking sourdough bread",
    "q4": "what did a medieval castle look like",
}
QRELS = {"q1": {"volcano": 2}, "q2": {"whale": 1}, "q3": {"bread": 1, "tea": 0}, "q4": {"violin": 1}}
"""The judgment of q4 is wrong on purpose: recall@1 is exactly 0.75."""


def _run_result(code: int, out: str, err: str) -> pytest.RunResult:
    """Return what pytester's own runs return, and print it as they do."""
    for text, file in ((out, sys.stdout), (err, sys.stderr)):
        file.write(text)
    return pytest.RunResult(code, out.splitlines(), err.splitlines(), 0.0)


class Started:
    """A pytest session that is running."""

    def __init__(self, server: ForkServer, command: list[str], folder: Path) -> None:
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - finish closes it
        output = self._output.fileno()
        with Path(os.devnull).open() as null:
            self._process = server.start(*command, folder=folder, streams=(null.fileno(), output, output))

    def finish(self, timeout: float = MAX_SECONDS) -> tuple[int, str]:
        """Wait for its end; the exit code, negative for a signal, and all that it printed."""
        code = self._process.wait(timeout)
        with self._output:
            self._output.seek(0)
            return code, self._output.read().decode()


class Project:
    """A folder with suites, data and tests, in which pytest runs."""

    conformance = False
    """Whether runs probe their models too; tests that are about something else do without."""

    def __init__(self, pytester: pytest.Pytester, model: Path, fork_server: ForkServer) -> None:
        self.pytester, self.folder, self._model, self._fork_server = pytester, pytester.path, model, fork_server

    def data(
        self,
        name: str = "facts",
        *,
        docs: Mapping[str, str] = DOCS,
        queries: Mapping[str, str] = QUERIES,
        qrels: Mapping[str, Mapping[str, int]] | None = QRELS,
    ) -> Path:
        """Write a BEIR folder; one written before under the name is replaced."""
        folder = self.folder / name
        (folder / "qrels").mkdir(parents=True, exist_ok=True)
        for file, texts in (("corpus.jsonl", docs), ("queries.jsonl", queries)):
            lines = [json.dumps({"_id": key, "text": text}) + "\n" for key, text in texts.items()]
            (folder / file).write_text("".join(lines), encoding="utf-8")
        rows = [f"{query}\t{doc}\t{grade}" for query, found in (qrels or {}).items() for doc, grade in found.items()]
        if qrels is not None:
            (folder / "qrels" / "test.tsv").write_text(
                "\n".join(["query-id\tcorpus-id\tscore", *rows, ""]), encoding="utf-8"
            )
        return folder

    def write(self, name: str, text: str) -> Path:
        """Write a text file, its common indentation removed."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text).lstrip("\n"), encoding="utf-8")
        return path

    def suite(self, *quality: str, name: str = "embedbench.toml", more: str = "") -> Path:
        """Write data and a suite with these thresholds for MiniLM on them."""
        self.data()
        checks = f"[[checks]]\nquality = {json.dumps(quality)}\n" if quality else ""
        return self.write(name, f'[embedbench]\nmodels = ["minilm"]\ndatasets = ["facts"]\n{checks}{dedent(more)}')

    def model(self, name: str = "copy") -> Path:
        """Copy the model's folder, to be changed or broken."""
        return Path(shutil.copytree(self._model, self.folder / name))

    def run(self, *arguments: str | Path) -> pytest.RunResult:
        """Run pytest in this process, where the model libraries are imported already."""
        return self.pytester.runpytest_inprocess(*self._options(arguments), *map(str, arguments))

    def spawn(self, *arguments: str | Path, timeout: float = MAX_SECONDS) -> pytest.RunResult:
        """Run pytest in a process of its own, which begins with the model libraries imported."""
        finished = self._fork_server.run(*self._command(arguments), folder=self.folder, timeout=timeout)
        return _run_result(finished.returncode, finished.stdout, finished.stderr)

    def spawn_anew(self, *arguments: str | Path, timeout: float = MAX_SECONDS) -> pytest.RunResult:
        """Run pytest in a process of its own, which imports everything itself."""
        command = [sys.executable, *self._command(arguments)]
        done = subprocess.run(
            command,
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
        )
        return _run_result(done.returncode, done.stdout, done.stderr)

    def start(self, *arguments: str | Path) -> Started:
        """Start pytest in a process like that of ``spawn``, and go on without waiting for it."""
        return Started(self._fork_server, self._command(arguments), self.folder)

    def run_in_terminal(self, *arguments: str | Path) -> str:
        """Run pytest in a process like that of ``spawn`` and in a terminal of its own; every byte that it wrote there."""
        ours, theirs = pty.openpty()
        process = self._fork_server.start(
            *self._command(arguments), folder=self.folder, streams=(theirs, theirs, theirs)
        )
        os.close(theirs)
        written = b""
        while True:
            try:
                chunk = os.read(ours, 65536)
            except OSError:  # Linux's way to say that the other side is closed
                break
            if not chunk:
                break
            written += chunk
        os.close(ours)
        process.wait(MAX_SECONDS)
        return written.decode()

    def _command(self, arguments: tuple[str | Path, ...]) -> list[str]:
        return ["-m", "pytest", *self._options(arguments), *map(str, arguments)]

    def _options(self, arguments: tuple[str | Path, ...]) -> tuple[str, ...]:
        probes = self.conformance or "no:embedbench" in arguments
        return OTHERS_OFF if probes else (*OTHERS_OFF, "--embed-no-conformance")

    def result_path(self, dataset: str = "facts", *, model: str = "*MiniLM*", below: Path | None = None) -> Path:
        """The one stored result of a pair."""
        folder = below or self.folder / "embedbench-out" / "results"
        (path,) = folder.glob(f"{model}/*/{dataset}.json")
        return path

    def result(self, dataset: str = "facts", *, model: str = "*MiniLM*", below: Path | None = None) -> PairResult:
        from pytest_embedbench.results.store import Store

        path = self.result_path(dataset, model=model, below=below)
        found = Store(path.parents[2]).load(path)
        assert found is not None
        return found

    def card_text(self, model: str = "*MiniLM*") -> str:
        (path,) = (self.folder / "embedbench-out" / "cards").glob(f"{model}.md")
        return path.read_text(encoding="utf-8")

    @staticmethod
    def table(result: pytest.RunResult) -> list[dict[str, str]]:
        """The rows of the verdict table that a run printed."""
        lines = result.stdout.lines
        rule = next((number for number, line in enumerate(lines) if re.fullmatch(r"(-+  )+-+", line)), None)
        if rule is None:
            return []
        starts = [match.start() for match in re.finditer(r"-+", lines[rule])]
        ends = [*starts[1:], None]

        def cells(line: str) -> list[str]:
            return [line[start:end].strip() for start, end in zip(starts, ends, strict=True)]

        names = cells(lines[rule - 1])
        rows: list[list[str]] = []
        for line in itertools.takewhile(str.strip, lines[rule + 1 :]):
            if line.startswith(" "):  # long cells go on in the next line
                rows[-1] = [f"{begun} {more}".strip() for begun, more in zip(rows[-1], cells(line), strict=True)]
            else:
                rows.append(cells(line))
        return [dict(zip(names, row, strict=True)) for row in rows]

    @staticmethod
    def text(result: pytest.RunResult) -> str:
        """All that a run printed, stdout and stderr."""
        return f"{result.stdout.str()}\n{result.stderr.str()}"


@pytest.fixture(scope="session")
def _libraries(minilm: SentenceTransformerModel, tmp_path_factory: pytest.TempPathFactory) -> SentenceTransformerModel:
    """Import all that a run imports, before pytester takes its snapshot of the modules: torch imports only once."""
    # A class whose module is gone from `sys.modules` takes no attention of ours: transformers reads that module's text.
    import_modules(MODEL_LIBRARIES)

    from pytest_embedbench import catalog
    from pytest_embedbench.core.measures import parse_measure
    from pytest_embedbench.datasets.spec import DatasetSpec, NamedDataset
    from pytest_embedbench.encode.progress import SilentProgress
    from pytest_embedbench.engine.pair_work import WorkSettings
    from pytest_embedbench.engine.workbench import Workbench
    from pytest_embedbench.load.shape import LoadShape
    from pytest_embedbench.models.spec import NamedModel
    from pytest_embedbench.reports.cards.write import write_cards
    from pytest_embedbench.suite.pairs import Pair

    bench = Workbench(WorkSettings(results=tmp_path_factory.mktemp("warm"), profile_requests=5), SilentProgress())
    model = NamedModel(alias="minilm", spec=catalog.models()["minilm"])
    data = tmp_path_factory.mktemp("data")
    (data / "qrels").mkdir()
    (data / "corpus.jsonl").write_text('{"_id": "d", "text": "one"}\n{"_id": "e", "text": "two"}\n', "utf-8")
    (data / "queries.jsonl").write_text('{"_id": "q", "text": "one"}\n', "utf-8")
    (data / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq\td\t1\n", "utf-8")
    dataset = NamedDataset(alias="data", spec=DatasetSpec(path=str(data)))
    bench.profile(Pair(model=model, dataset=dataset, checks=()), LoadShape(1, 1), [parse_measure("ndcg@10")])
    write_cards(bench.store.results(), tmp_path_factory.mktemp("cards"))
    # pytest collects garbage several times at the end of a run; what is imported need not be searched each time.
    gc.collect()
    gc.freeze()
    return minilm


class LoadedOnce:
    """``load_model`` for runs in this process: they share MiniLM as it is installed, which nothing changes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._loaded: dict[tuple[NamedModel, str, str], Model] = {}

    def __call__(
        self, model: NamedModel, *, device: str, dtype: str, memory: Memory | None, sources: SourceCache
    ) -> Model:
        from pytest_embedbench.models.load import load_model

        local = model.spec.kind == "sentence-transformers" and model.spec.backend == "torch"
        if not local or sources.locate(model).folder != self._folder:
            return load_model(model, device=device, dtype=dtype, memory=memory, sources=sources)
        key = model, device, dtype
        if key not in self._loaded:
            self._loaded[key] = load_model(model, device=device, dtype=dtype, memory=memory, sources=sources)
        return self._loaded[key]


@pytest.fixture(scope="session")
def _loaded_once(minilm_folder: Path) -> LoadedOnce:
    return LoadedOnce(minilm_folder)


@pytest.fixture
def project(
    _libraries: SentenceTransformerModel,
    pytester: pytest.Pytester,
    minilm_folder: Path,
    fork_server: ForkServer,
    _loaded_once: LoadedOnce,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Project]:
    """Return an empty project."""
    import torch

    for name in [name for name in os.environ if name.startswith(("PYTEST_", "COV_"))]:
        if name not in {"PYTEST_CURRENT_TEST", "PYTEST_DEBUG_TEMPROOT"}:
            monkeypatch.delenv(name)
    # In CI pytest does not cut its summary, and there is a page to write to.
    for name in ("CI", "BUILD_NUMBER", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("EMBEDBENCH_CACHE", str(pytester.path.with_name(f"{pytester.path.name}-cache")))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("pytest_embedbench.engine.loader.load_model", _loaded_once)
    # Six short texts need no second thread, and on a busy machine threads wait for each other.
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield Project(pytester, minilm_folder, fork_server)
    torch.set_num_threads(threads)
