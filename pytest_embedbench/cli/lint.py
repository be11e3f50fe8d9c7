"""``embedbench lint``: find impossible and suspicious numbers in cards and result files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pytest_embedbench.errors import ResultError

if TYPE_CHECKING:
    from pytest_embedbench.plausibility.rows import PlausibilityFinding, ReportedRow


@click.command("lint")
@click.argument("paths", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--strict", is_flag=True, help="Exit with 1 on warnings too.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@click.pass_context
def lint(context: click.Context, paths: tuple[Path, ...], *, strict: bool, as_json: bool) -> None:
    """Report numbers that no evaluation can have produced.

    FILE is a model card, a result of pytest-embedbench or MTEB, or a folder of these. Each finding is a line, FILE:
    DATASET: LEVEL: MESSAGE, where an impossible number comes with the inequality that it violates. The exit code is 1
    if there is an error, otherwise 0.
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

    Below a folder, only broken files give a finding; a file that was named must be a card or a result.
    """
    from pytest_embedbench.plausibility.rows import PlausibilityFinding
    from pytest_embedbench.plausibility.sources import UnknownFormError, files, read_rows

    def unreadable(file: Path, problem: object) -> PlausibilityFinding:
        return PlausibilityFinding(level="error", rule="unreadable", message=str(problem), file=str(file))

    rows: list[ReportedRow] = []
    findings: list[PlausibilityFinding] = []
    for path in paths:
        before = len(rows) + len(findings)  # to notice a folder without any card or result
        for file in files(path):
            try:
                rows_of_file = read_rows(file)
            except UnknownFormError as error:
                if not path.is_dir():
                    findings.append(unreadable(file, error))
            except ResultError as error:
                findings.append(unreadable(file, error))
            else:
                rows += rows_of_file
                if not path.is_dir() and not any(row.scores or row.latencies for row in rows_of_file):
                    nothing = "has no scores and no latencies"
                    findings.append(
                        PlausibilityFinding(level="note", rule="no-numbers", message=nothing, file=str(file))
                    )
        if len(rows) + len(findings) == before:
            findings.append(unreadable(path, "holds no card and no result"))
    return rows, findings
