"""``embedbench import-mteb``: published MTEB results as a results folder of ours."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pytest_embedbench.errors import ResultError

if TYPE_CHECKING:
    from pytest_embedbench.results.mteb import MtebScores
    from pytest_embedbench.results.schema import PairResult


@click.command("import-mteb")
@click.argument("paths", metavar="FOLDER_OR_FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="The results folder.")
@click.option("--model", default="", help="The model's name (org/model), where neither file nor folder says it.")
@click.option("--dataset", "datasets", multiple=True, metavar="TASK=NAME", help="What your suite calls a task's data.")
@click.option(
    "--baseline",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also put the means into this baseline, for pytest --embed-baseline.",
)
def import_mteb(
    paths: tuple[Path, ...], out: Path, model: str, datasets: tuple[str, ...], baseline: Path | None
) -> None:
    """Read results of MTEB and write them as a results folder, for `card`, `compare` and `leaderboard`.

    FOLDER is laid out as MTEB leaves it, or a part of it: <org>__<model>/<revision>/<task>.json. Datasets get the
    catalogue's names. MTEB publishes means only, so there are no rankings and no values per query.
    """
    from pytest_embedbench.results.baseline import published_entry, update_file
    from pytest_embedbench.results.external import keep_measured
    from pytest_embedbench.results.mteb import to_result, values
    from pytest_embedbench.results.store import Store

    names = _names(datasets)
    store = Store(out)
    results: dict[Path, PairResult] = {}
    others = 0
    for file, found in read(paths):
        if not values(found.scores):
            others += 1
            continue
        result = to_result(found, file, model=model, datasets=names)
        target = store.path(result.embedbench.model, result.embedbench.dataset.name)
        if target in results:
            raise ResultError(f"{file}: a second result for {target}\n  fix: import them into different folders")
        keep_measured(store, target)
        results[target] = result
    if not results:
        raise click.ClickException(f"no scores of retrieval tasks in {', '.join(map(str, paths))}")
    store.check_writable()
    for target, result in results.items():
        store.save(target, result)
        details = result.embedbench
        mean = details.means.get("ndcg@10")
        shown = f"{len(details.means)} measures" if mean is None else f"ndcg@10 {mean:.4f}"
        click.echo(f"{details.model.name} on {details.dataset.name} ({details.dataset.split}): {shown}: {target}")
    if baseline:
        for line in update_file(baseline, [published_entry(result) for result in results.values()]):
            click.echo(f"{baseline}: {line}")
    if others:
        click.echo(f"note: {others} {'has' if others == 1 else 'have'} no retrieval measure: left out")
    click.echo("note: means only, without values per query: what differs from them cannot be tested for significance")


def read(paths: Iterable[Path]) -> list[tuple[Path, MtebScores]]:
    """What all files say, in their order; below a folder, files of other forms are passed over.

    Raises:
        ResultError: a file cannot be read, or was named and is none of MTEB's.
    """
    import json

    from pytest_embedbench.plausibility.sources import files
    from pytest_embedbench.results.mteb import read_scores

    found: list[tuple[Path, MtebScores]] = []
    for path in paths:
        for file in files(path):
            if file.suffix != ".json" and path.is_dir():
                continue
            try:
                data = json.loads(file.read_text(encoding="utf-8"))  # nauc values may be NaN
                ours = isinstance(data, dict) and "embedbench" in data
                scores = None if ours else read_scores(data, file)
            except OSError as error:
                raise ResultError(f"{file}: cannot be read: {error.strerror}") from None
            except ValueError as error:
                raise ResultError(f"{file}: is not JSON: {error}") from None
            except ResultError as error:
                raise ResultError(f"{file}: {error}") from None
            if scores is None and not path.is_dir():
                known = "is a result of pytest-embedbench already" if ours else "is not a result of MTEB"
                raise ResultError(f"{file}: {known}")
            found += [(file, one) for one in scores or ()]
    return found


def _names(datasets: Iterable[str]) -> dict[str, str]:
    names = {}
    for text in datasets:
        task, separator, name = text.partition("=")
        if not separator or not task or not name:
            raise click.UsageError(f"--dataset: {text!r} is not TASK=NAME")
        names[task] = name
    return names
