"""Numbers on the command line: within bounds, never NaN, and never quoted at full length."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import click

from pytest_embedbench.core.parsing import shortened

if TYPE_CHECKING:
    from collections.abc import Callable


class WholeNumber(click.IntRange):
    """A whole number from ``least`` to ``most``."""

    def __init__(self, least: int, most: int) -> None:
        super().__init__(least, most)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return super().convert(_short(value, self.fail, param, ctx), param, ctx)


class Decimal(click.FloatRange):
    """A number from ``least`` to ``most``; ``above`` leaves ``least`` itself out."""

    def __init__(self, least: float, most: float, *, above: bool = False) -> None:
        super().__init__(least, most, min_open=above)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(_short(value, self.fail, param, ctx), param, ctx)
        if math.isnan(number):  # no comparison with a range holds for it, or against it
            self.fail(f"{value!r} is not a number.", param, ctx)
        return number


def _short(value: Any, fail: Callable[..., Any], param: click.Parameter | None, ctx: click.Context | None) -> Any:
    if isinstance(value, str) and value != shortened(value):
        fail(f"{shortened(value)!r} is not a valid number.", param, ctx)
    return value
