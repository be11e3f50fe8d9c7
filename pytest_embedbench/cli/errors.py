"""Show the errors of ``embedbench``; the only place that turns an exception into a message."""

from __future__ import annotations

import click

from pytest_embedbench.errors import EmbedbenchError

_EXIT_CODE = f"{__name__}.exit_code"
"""Key in click's ``Context.meta``, which all commands of one call share."""


class ErrorGroup(click.Group):
    """A group of commands whose errors are shown as one message, without a traceback."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except (EmbedbenchError, ValueError) as error:  # ValueError: stored values that no page can show
            click.ClickException(str(error)).show()
            ctx.exit(ctx.meta.get(_EXIT_CODE, click.ClickException.exit_code))


def set_error_exit_code(context: click.Context, code: int) -> None:
    """Let errors of this call exit with ``code`` instead of 1, where 1 has another meaning."""
    context.meta[_EXIT_CODE] = code
