"""``embedbench doctor``: show what a dataset holds, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pytest_embedbench.cli.errors import set_error_exit_code
from pytest_embedbench.errors import ConfigurationError

if TYPE_CHECKING:
    from pytest_embedbench.datasets.doctor.examination import Examination
    from pytest_embedbench.datasets.doctor.languages import Languages
    from pytest_embedbench.datasets.doctor.lengths import Lengths
    from pytest_embedbench.datasets.spec import NamedDataset
    from pytest_embedbench.datasets.types import Finding
    from pytest_embedbench.models.spec import NamedModel
    from pytest_embedbench.suite.model_names import Names

MAX_ENTRIES = 6
"""Grades, languages and scripts that are printed at most; ``--json`` has all."""

UNREADABLE = 2
"""Exit code if the dataset or the model cannot be read; 1 means that the dataset has an error."""


@click.command("doctor")
@click.argument("dataset")
@click.option(
    "--model", default="", metavar="NAME", help="Measure texts in this model's tokens, and count those it would cut."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
@click.pass_context
def doctor(context: click.Context, dataset: str, model: str, *, as_json: bool) -> None:
    """Examine a DATASET: what it holds, and what is wrong with it.

    DATASET is a name of the catalogue or of the suite file in this folder, or a folder (FOLDER@SPLIT for a split other
    than test). Each problem is printed with the number of cases, the first case, and what to do.

    The exit code is 1 if a problem makes scores wrong (an "error"), 2 if the dataset or the model cannot be read,
    otherwise 0. No model is run: of a model on the Hub, only settings and tokenizer are downloaded.
    """
    import msgspec

    from pytest_embedbench.datasets.doctor.examination import examine
    from pytest_embedbench.datasets.load import load_dataset
    from pytest_embedbench.models.registry import token_counter

    set_error_exit_code(context, UNREADABLE)  # 1 means that the dataset was read and has an error
    named = _dataset(dataset)
    tested = _model(model).on_task(named.spec.instruction) if model else None
    counter = token_counter(tested) if tested else None
    loaded = load_dataset(named)
    examination = examine(loaded, counter, tested.as_given(loaded) if tested else None)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(examination), indent=2).decode())
    else:
        for line in _lines(examination):
            click.echo(line)
    if examination.has_errors:
        context.exit(1)


def _names(*, dataset: str = "", model: str = "") -> Names:
    """Return the names of the catalogue and of the suite file in the working folder, if there is one."""
    from pytest_embedbench.suite.find import SUITE_NAME, is_suite
    from pytest_embedbench.suite.model_names import Names, Overrides
    from pytest_embedbench.suite.tables import decode

    overrides = Overrides(datasets=(dataset,) if dataset else (), models=(model,) if model else (), folder=Path.cwd())
    for path in (Path.cwd() / SUITE_NAME, Path.cwd() / "pyproject.toml"):
        if is_suite(path):
            return Names(path, decode(path), overrides)
    return Names.without_suite(overrides)


def _dataset(name: str) -> NamedDataset:
    try:
        (dataset,) = _names(dataset=name).datasets()
    except ConfigurationError as error:
        raise _renamed(error, "DATASET") from None
    return dataset


def _model(name: str) -> NamedModel:
    try:
        (model,) = _names(model=name).models()
    except ConfigurationError as error:
        raise _renamed(error, "--model") from None
    return model


def _renamed(error: ConfigurationError, where: str) -> ConfigurationError:
    """Return the error with this command's argument in place of pytest's option; errors in a suite file stay."""
    return ConfigurationError(where, error.problem, error.fix) if error.where.startswith("--embed") else error


def _lines(examination: Examination) -> Iterator[str]:
    from tabulate import tabulate

    yield f"{examination.dataset}, split {examination.split}" if examination.split else examination.dataset
    yield tabulate(list(_facts(examination)), tablefmt="plain", disable_numparse=True)
    for finding in examination.findings:
        yield ""
        yield from _finding_lines(finding)
    for reason in examination.skipped:
        yield ""
        yield f"not checked: {reason}"
    levels = [finding.level for finding in examination.findings]
    yield ""
    yield ", ".join(_plural(levels.count(level), level) for level in ("error", "warning"))


def _facts(examination: Examination) -> Iterator[tuple[str, str]]:
    texts, documents = examination.unique_texts, examination.documents
    yield "documents", f"{documents:,}" + (f" ({texts:,} distinct texts)" if texts < documents else "")
    scored = "" if examination.queries == examination.queries_in_file else f" of {examination.queries_in_file:,}"
    judged = " with a relevant document" if examination.relevant else ""
    yield "queries", f"{examination.queries:,}{scored}{judged}"
    if examination.judgments:
        grades = [f"grade {grade}: {count:,}" for grade, count in list(examination.grades.items())[:MAX_ENTRIES]]
        yield "judgments", f"{examination.judgments:,} ({', '.join(grades)})"
    if examination.relevant:
        yield "relevant documents a query", _spread(examination.relevant)
    for side, lengths in examination.characters.items():
        yield f"characters of {side}", _spread(lengths)
    for side, tokens in examination.tokens.items():
        share = f"{tokens.cut / tokens.lengths.texts:.1%} are" if tokens.cut else "none is"
        limit = f"; {share} longer than {examination.limit:,}" if examination.limit else "; no limit"
        # The sides are "documents" and "queries", which are also the fields with the number of texts.
        sample = "" if tokens.lengths.texts == getattr(examination, side) else f", {tokens.lengths.texts:,} sampled"
        yield f"tokens of {side}", f"{_spread(tokens.lengths)}{limit} ({examination.model}{sample})"
    if examination.languages:
        yield "languages", _language_shares(examination.languages)
    if examination.scripts:
        yield "letters", _shares(examination.scripts)


def _language_shares(languages: Languages) -> str:
    sure = sum(languages.found.values())
    shares = _shares({code: count / sure for code, count in languages.found.items()}) or "none is sure"
    declared = f"; declared: {', '.join(languages.declared)}" if languages.declared else ""
    return f"{shares} (sure of {sure:,} in {languages.sampled:,} sampled documents){declared}"


def _shares(shares: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {share:.1%}" for name, share in list(shares.items())[:MAX_ENTRIES])


def _spread(lengths: Lengths) -> str:
    """Return shortest, longest and percentiles of lengths in one line."""
    steps = (lengths.p50, lengths.p90, lengths.p99)
    middle = ", ".join(f"p{step} {value:,.0f}" for step, value in zip((50, 90, 99), steps, strict=True))
    return f"{lengths.shortest:,} to {lengths.longest:,}; {middle}"


def _finding_lines(finding: Finding) -> Iterator[str]:
    first = f", first: {finding.first}" if finding.first else ""
    yield f"{finding.level}: {finding.code}: {finding.message} ({finding.count:,}{first})"
    if finding.fix:
        yield f"  fix: {finding.fix}"


def _plural(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"
