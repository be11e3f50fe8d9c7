"""``embedbench lint``: find impossible and suspicious numbers in cards and result files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pytest_embedbench.errors import ResultError

if TYPE_CHECKING:
    from pytest_embedbench.plausibility.rows import FindingLevel, PlausibilityFinding, ReportedRow


@click.command("lint")
@click.argument("paths", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--strict", is_flag=True, help="Exit with 1 on warnings too.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@click.pass_context
def lint(context: click.Context, paths: tuple[Path, ...], *, strict: bool, as_json: bool) -> None:
    """Report numbers that no evaluation can have produced.

    FILE is a model card, a README on the Hub (whose scores are in the model-index of its front matter), a result of
    pytest-embedbench or MTEB, or a folder of these. Each finding is a line, FILE: DATASET: LEVEL: MESSAGE, where an
    impossible number comes with the inequality that it violates. The exit code is 1 if there is an error, otherwise 0.
    """
    import msgspec

    from pytest_embedbench.plausibility.check import check_rows

    rows, findings = read(paths)
    findings += check_rows(rows)
    levels = [finding.level for finding in findings]
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(findings), indent=2).decode())
    else:
        for finding in findings:
            click.echo(str(finding))
        counts = ", ".join(
            f"{levels.count(level)} {level}{'' if levels.count(level) == 1 else 's'}"
            for level in ("error", "warning", "note")
        )
        # On stderr, so that stdout holds nothing but findings.
        click.echo(f"{len(rows)} {'row' if len(rows) == 1 else 'rows'} checked: {counts}", err=True)
    if "error" in levels or (strict and "warning" in levels):
        context.exit(1)


def read(paths: Iterable[Path]) -> tuple[list[ReportedRow], list[PlausibilityFinding]]:
    """Return every row of the files and folders, and findings about files without rows.

    Below a folder, only broken files give a finding.
    """
    from pytest_embedbench.plausibility.sources import files

    rows: list[ReportedRow] = []
    findings: list[PlausibilityFinding] = []
    for path in paths:
        before = len(rows) + len(findings)  # to notice a folder without any card or result
        for file in files(path):
            rows_of_file, findings_of_file = _read_file(file, named=not path.is_dir())
            rows += rows_of_file
            findings += findings_of_file
        if len(rows) + len(findings) == before:
            findings.append(_about(path, "error", "unreadable", "holds no card, no README with scores and no result"))
    return rows, findings


def _read_file(file: Path, *, named: bool) -> tuple[Sequence[ReportedRow], list[PlausibilityFinding]]:
    """Return the rows of one file and findings about it as a whole.

    A file that was ``named`` must be a card, a README or a result. One that has nothing to check is a warning, since a
    run that checks nothing must not look like one that found nothing.
    """
    from pytest_embedbench.plausibility.sources import NothingToCheckError, UnknownFormError
    from pytest_embedbench.plausibility.sources import read as read_rows

    try:
        rows, found = read_rows(file)
    except NothingToCheckError as error:
        return [], [_about(file, "warning", "no-numbers", str(error))] if named else []
    except UnknownFormError as error:
        return [], [_about(file, "error", "unreadable", str(error))] if named else []
    except ResultError as error:
        return [], [_about(file, "error", "unreadable", str(error))]
    findings = list(found)
    if named and not any(row.scores or row.latencies for row in rows):
        findings.append(_about(file, "warning", "no-numbers", "has no scores and no latencies"))
    return rows, findings


def _about(file: Path, level: FindingLevel, rule: str, message: str) -> PlausibilityFinding:
    from pytest_embedbench.plausibility.rows import PlausibilityFinding

    return PlausibilityFinding(level=level, rule=rule, message=message, file=str(file))
