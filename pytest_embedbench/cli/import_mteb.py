"""``embedbench import-mteb``: write published MTEB results as a results folder."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pytest_embedbench.core.measures import MAIN_MEASURE
from pytest_embedbench.errors import ResultError

if TYPE_CHECKING:
    from pytest_embedbench.results.mteb import MtebScores
    from pytest_embedbench.results.schema import PairResult
    from pytest_embedbench.results.store import Store


MAX_SHOWN = 10
"""Broken files that are named; all are counted."""


@click.command("import-mteb")
@click.argument("paths", metavar="FOLDER_OR_FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="Results folder to write to."
)
@click.option(
    "--model", default="", metavar="ORG/MODEL", help="Name of the model, if neither the files nor their folder say it."
)
@click.option(
    "--dataset",
    "datasets",
    multiple=True,
    metavar="TASK=NAME",
    help="Store results of an MTEB task under this dataset name, e.g. the one in your suite; repeatable.",
)
@click.option(
    "--baseline",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also write the means into this baseline, for pytest --embed-baseline.",
)
def import_mteb(
    paths: tuple[Path, ...], out: Path, model: str, datasets: tuple[str, ...], baseline: Path | None
) -> None:
    """Import published MTEB results into a results folder.

    The results can then be used by `card`, `compare` and `leaderboard`. FOLDER is a results folder of MTEB or a part of
    it: <org>__<model>/<revision>/<task>.json. Datasets get the names of the catalogue. MTEB publishes means only, so
    there are no rankings and no values per query.
    """
    from pytest_embedbench.results.baseline import published_entry, update_file
    from pytest_embedbench.results.store import Store

    names = _dataset_names(datasets)
    store = Store(out)
    contents, broken = read(paths)
    results, without_retrieval = _convert(contents, broken, store, named=paths, model=model, names=names)
    # Everything is read and checked before the first file is written: an error leaves no half of an import behind.
    if not results:
        raise broken[0] if broken else ResultError(f"no scores of retrieval tasks in {', '.join(map(str, paths))}")
    store.check_writable()
    for target, result in results.items():
        store.save(target, result)
        details = result.embedbench
        mean = details.means.get(str(MAIN_MEASURE))
        shown = f"{len(details.means)} measures" if mean is None else f"ndcg@10 {mean:.4f}"
        click.echo(f"{details.model.name} on {details.dataset.name} ({details.dataset.split}): {shown}: {target}")
    if baseline:
        for line in update_file(baseline, [published_entry(result) for result in results.values()]):
            click.echo(f"{baseline}: {line}")
    _echo_notes(broken, without_retrieval)


def _convert(
    contents: Iterable[tuple[Path, MtebScores]],
    broken: list[ResultError],
    store: Store,
    *,
    named: Collection[Path],
    model: str,
    names: Mapping[str, str],
) -> tuple[dict[Path, PairResult], int]:
    """Return results by their paths, and the number of those without a retrieval measure.

    What is malformed, or is the second one of a model and task, is added to ``broken``, unless its file was named on
    the command line.

    Raises:
        ResultError: a result has no model, two have the same path, or a measured one is there.
    """
    from pytest_embedbench.catalog.result_names import result_name
    from pytest_embedbench.results.external_runs import keep_measured
    from pytest_embedbench.results.mteb import measure_values, to_result

    results: dict[Path, PairResult] = {}
    taken: set[str] = set()
    without_retrieval = 0
    for file, scores in contents:
        if not measure_values(scores.scores):
            without_retrieval += 1
            continue
        try:
            result = to_result(scores, file, model=model, datasets=names)
        except ResultError as error:
            if file in named or not (scores.model or model):
                raise
            broken.append(error)
            continue
        record, dataset = result.embedbench.model, result.embedbench.dataset
        # A name that the user gave comes before the task's. MTEB has all subsets of a task in one file, we have not.
        own_name = scores.name in names or scores.name != scores.task
        target = store.path(record, result_name(dataset.name, dataset.split, "" if own_name else scores.task))
        key = str(target).casefold()  # some file systems ignore case
        if key in taken:
            second = ResultError(
                f"a second result for {target}", where=str(file), fix="import it alone, into another folder"
            )
            if file in named:
                raise second
            broken.append(second)
            continue
        # Raises if the target was measured here: an import must not overwrite it.
        earlier = keep_measured(store, target, record.name, dataset.name)
        if earlier and earlier.means != result.embedbench.means:
            click.echo(f"note: {target}: an earlier result, of {earlier.origin}, is replaced")
        taken.add(key)
        results[target] = result
    return results, without_retrieval


def _echo_notes(broken: Sequence[ResultError], without_retrieval: int) -> None:
    if without_retrieval:
        verb = "has" if without_retrieval == 1 else "have"
        click.echo(f"note: {without_retrieval} {verb} no retrieval measure: left out")
    for problem in broken[:MAX_SHOWN]:
        click.echo(f"note: left out: {problem.where}: {problem.problem}")
    if broken:
        click.echo(f"note: {len(broken)} could not be imported")
    click.echo("note: means only, without values per query: differences from them cannot be tested for significance")


def read(paths: Iterable[Path]) -> tuple[list[tuple[Path, MtebScores]], list[ResultError]]:
    """Return the scores of all files, in their order, and an error for each broken file below a folder.

    Files of other formats below a folder are skipped.

    Raises:
        ResultError: a file that was named cannot be read, or is not a result of MTEB.
    """
    from pytest_embedbench.plausibility.sources import files

    results: list[tuple[Path, MtebScores]] = []
    broken: list[ResultError] = []
    for path in paths:
        for file in files(path):
            # A folder may hold model cards too. A file that was named is read, whatever its name.
            if file.suffix != ".json" and path.is_dir():
                continue
            try:
                results += [(file, scores) for scores in _read_file(file, named=not path.is_dir())]
            except ResultError as error:
                if not path.is_dir():
                    raise
                broken.append(error)
    return results, broken


def _read_file(file: Path, *, named: bool) -> list[MtebScores]:
    """Return the scores in a file; none if it has another format and was not ``named`` on the command line.

    Raises:
        ResultError: the file cannot be read, is not JSON or malformed, or was named and has another format.
    """
    from pytest_embedbench.core.decoding import DecodingError, decode_loose_json
    from pytest_embedbench.results.mteb import read_scores

    try:
        data = decode_loose_json(file.read_bytes())  # nauc values may be NaN
        # Results of pytest-embedbench have the fields of MTEB's too.
        ours = isinstance(data, dict) and "embedbench" in data
        scores = None if ours else read_scores(data, file)
    except OSError as error:
        raise ResultError(f"cannot be read: {error.strerror}", where=str(file)) from None
    except DecodingError as error:
        raise ResultError(f"is not JSON: {error}", where=str(file)) from None
    except ResultError as error:
        where = ": ".join(filter(None, (str(file), error.where)))
        raise ResultError(error.problem, where=where, fix=error.fix) from None
    if scores is None and named:
        problem = "is a result of pytest-embedbench already" if ours else "is not a result of MTEB"
        raise ResultError(problem, where=str(file))
    return scores or []


def _dataset_names(datasets: Iterable[str]) -> dict[str, str]:
    """Read values of ``--dataset``: MTEB's task -> name of the dataset."""
    names = {}
    for text in datasets:
        task, separator, name = text.partition("=")
        if not separator or not task or not name:
            raise click.UsageError(f"--dataset: {text!r} is not TASK=NAME")
        names[task] = name
    return names
