"""``embedbench``: commands that run no embedding model, one module each."""

from __future__ import annotations

import click

from pytest_embedbench import __version__
from pytest_embedbench.cli.cache import cache
from pytest_embedbench.cli.card import card
from pytest_embedbench.cli.compare import compare
from pytest_embedbench.cli.doctor import doctor
from pytest_embedbench.cli.errors import ErrorGroup
from pytest_embedbench.cli.export import export
from pytest_embedbench.cli.import_mteb import import_mteb
from pytest_embedbench.cli.judge import judge
from pytest_embedbench.cli.leaderboard import leaderboard
from pytest_embedbench.cli.lint import lint
from pytest_embedbench.cli.listing import list_entries
from pytest_embedbench.cli.score import score
from pytest_embedbench.cli.show import show


@click.group(cls=ErrorGroup)
@click.version_option(__version__, prog_name="embedbench")
def main() -> None:
    """Work with stored results: cards, comparisons, leaderboards, plausibility checks.

    No embedding model runs here. To test one, use pytest:

    pytest --embed-model=NAME
    """


# The modules import little at the top; what a command needs is imported when it runs, so that --help is fast.
for command in (cache, card, compare, doctor, export, import_mteb, judge, leaderboard, lint, list_entries, score, show):
    main.add_command(command)
