"""``embedbench doctor``: what a dataset holds, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pytest_embedbench.errors import ConfigurationError, EmbedbenchError

if TYPE_CHECKING:
    from pytest_embedbench.datasets.doctor.examination import Examination
    from pytest_embedbench.datasets.doctor.lengths import Lengths
    from pytest_embedbench.datasets.spec import NamedDataset
    from pytest_embedbench.datasets.types import Finding
    from pytest_embedbench.models.spec import NamedModel
    from pytest_embedbench.suite.names import Names

SHOWN = 6
"""Grades, languages and scripts that are printed; --json has all."""


class _BadInputError(click.ClickException):
    exit_code = 2


@click.command("doctor")
@click.argument("dataset")
@click.option("--model", default="", metavar="NAME", help="Count texts in this model's tokens, and those that it cuts.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def doctor(context: click.Context, dataset: str, model: str, *, as_json: bool) -> None:
    """Examine a DATASET: a name, or a folder (FOLDER@SPLIT).

    Names are those of the catalogue and of the suite file in this folder. Prints what the dataset holds, then what is
    wrong with it: how many cases, the first one, and what to do.

    The exit code is 1 where scores are wrong or of other data than the files say (an "error"), 2 where the dataset or
    the model cannot be read, else 0. No model is run; of one on the Hub, only settings and tokenizer are fetched.
    """
    import msgspec

    from pytest_embedbench.datasets.doctor.examination import examine
    from pytest_embedbench.datasets.load import load_dataset
    from pytest_embedbench.models.checkpoint import token_counter

    try:
        named = _dataset(dataset)
        counter = token_counter(_model(model).on_task(named.spec.instruction)) if model else None
        found = examine(load_dataset(named), counter)
    except EmbedbenchError as error:
        raise _BadInputError(str(error)) from error
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
    else:
        for line in _lines(found):
            click.echo(line)
    if found.wrong:
        context.exit(1)


def _names(*, dataset: str = "", model: str = "") -> Names:
    from pytest_embedbench.suite.find import SUITE_NAME, is_suite
    from pytest_embedbench.suite.names import Names, Overrides
    from pytest_embedbench.suite.tables import SuiteTables, decode

    overrides = Overrides(datasets=(dataset,) if dataset else (), models=(model,) if model else (), folder=Path.cwd())
    here = [path for path in (Path.cwd() / SUITE_NAME, Path.cwd() / "pyproject.toml") if is_suite(path)]
    return Names(here[0], decode(here[0]), overrides) if here else Names(Path(SUITE_NAME), SuiteTables(), overrides)


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
    """The error at the place where this command was given what pytest takes as an option; those of a file stay."""
    return ConfigurationError(where, error.problem, error.fix) if error.where.startswith("--embed") else error


def _lines(found: Examination) -> Iterator[str]:
    from tabulate import tabulate

    yield f"{found.dataset}, split {found.split}" if found.split else found.dataset
    yield tabulate(list(_facts(found)), tablefmt="plain", disable_numparse=True)
    for finding in found.findings:
        yield ""
        yield from _explained(finding)
    for reason in found.skipped:
        yield ""
        yield f"not checked: {reason}"
    levels = [finding.level for finding in found.findings]
    yield ""
    yield ", ".join(_plural(levels.count(level), level) for level in ("error", "warning"))


def _facts(found: Examination) -> Iterator[tuple[str, str]]:
    distinct = f" ({found.unique_texts:,} distinct texts)" if found.unique_texts < found.documents else ""
    yield "documents", f"{found.documents:,}{distinct}"
    scored = "" if found.queries == found.queries_in_file else f" of {found.queries_in_file:,}"
    judged = " with a relevant document" if found.relevant else ""
    yield "queries", f"{found.queries:,}{scored}{judged}"
    if found.judgments:
        grades = [f"grade {grade}: {count:,}" for grade, count in list(found.grades.items())[:SHOWN]]
        yield "judgments", f"{found.judgments:,} ({', '.join(grades)})"
    if found.relevant:
        yield "relevant documents a query", _spread(found.relevant)
    for side, lengths in found.characters.items():
        yield f"characters of {side}", _spread(lengths)
    for side, tokens in found.tokens.items():
        share = f"{tokens.cut / tokens.lengths.texts:.1%} are" if tokens.cut else "none is"
        limit = f"; {share} longer than {found.limit:,}" if found.limit else "; no limit"
        part = "" if tokens.lengths.texts == getattr(found, side) else f", {tokens.lengths.texts:,} sampled"
        yield f"tokens of {side}", f"{_spread(tokens.lengths)}{limit} ({found.model}{part})"
    if found.languages:
        sure = sum(found.languages.found.values())
        shares = _shares({code: count / sure for code, count in found.languages.found.items()}) or "none is sure"
        declared = f"; declared: {', '.join(found.languages.declared)}" if found.languages.declared else ""
        yield "languages", f"{shares} (sure of {sure:,} in {found.languages.sampled:,} sampled documents){declared}"
    if found.scripts:
        yield "letters", _shares(found.scripts)


def _shares(shares: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {share:.1%}" for name, share in list(shares.items())[:SHOWN])


def _spread(lengths: Lengths) -> str:
    steps = (lengths.p50, lengths.p90, lengths.p99)
    middle = ", ".join(f"p{step} {value:,.0f}" for step, value in zip((50, 90, 99), steps, strict=True))
    return f"{lengths.shortest:,} to {lengths.longest:,}; {middle}"


def _explained(finding: Finding) -> Iterator[str]:
    first = f", first: {finding.first}" if finding.first else ""
    yield f"{finding.level}: {finding.code}: {finding.message} ({finding.count:,}{first})"
    if finding.fix:
        yield f"  fix: {finding.fix}"


def _plural(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"
