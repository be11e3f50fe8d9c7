"""``embedbench``: commands that run no model, one module each."""

from __future__ import annotations

import click

from pytest_embedbench import __version__
from pytest_embedbench.cli.cache import cache
from pytest_embedbench.cli.card import card
from pytest_embedbench.cli.compare import compare
from pytest_embedbench.cli.doctor import doctor
from pytest_embedbench.cli.export import export
from pytest_embedbench.cli.import_mteb import import_mteb
from pytest_embedbench.cli.judge import judge
from pytest_embedbench.cli.leaderboard import leaderboard
from pytest_embedbench.cli.lint import lint
from pytest_embedbench.cli.listing import list_entries
from pytest_embedbench.cli.score import score
from pytest_embedbench.cli.show import show
from pytest_embedbench.errors import EmbedbenchError


class _Command(click.Group):
    """Shows our own errors as one message, without a traceback."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except (EmbedbenchError, ValueError) as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=_Command)
@click.version_option(__version__, prog_name="embedbench")
def main() -> None:
    """Cards and facts from stored results. To run models, use pytest: pytest --embed-model NAME."""


for command in (cache, card, compare, doctor, export, import_mteb, judge, leaderboard, lint, list_entries, score, show):
    main.add_command(command)
