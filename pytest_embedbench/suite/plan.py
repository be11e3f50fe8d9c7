"""From tables and names to pairs and the checks each of them must pass."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TypeVar

import msgspec

from pytest_embedbench import catalog
from pytest_embedbench.datasets.spec import NamedDataset
from pytest_embedbench.errors import ConfigurationError, closest
from pytest_embedbench.limits import Limit, parse_budget, parse_quality
from pytest_embedbench.load.shape import LoadShape, parse_shape
from pytest_embedbench.measures import DEFAULT_MEASURES, Measure, parse_measure
from pytest_embedbench.models.spec import NamedModel
from pytest_embedbench.suite.names import Names, Overrides
from pytest_embedbench.suite.tables import CheckTable, Settings, SuiteFile, decode

T = TypeVar("T")

GLOB = re.compile(r"[*?\[]")


class QualityCheck(msgspec.Struct, frozen=True, kw_only=True):
    """A measure and its limit; without a limit the value is only reported."""

    measure: Measure
    limit: Limit | None = None


class BudgetCheck(msgspec.Struct, frozen=True, kw_only=True):
    """A load profile and a budget on it; ``hardware`` is where the budget binds ("" is everywhere)."""

    shape: LoadShape
    limit: Limit | None = None
    hardware: str = ""


Check = QualityCheck | BudgetCheck


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """One model on one dataset with the checks it must pass."""

    model: NamedModel
    dataset: NamedDataset
    checks: tuple[Check, ...]


class Suite(msgspec.Struct, frozen=True, kw_only=True):
    """A validated suite, its names resolved against catalogue and disk."""

    path: Path
    settings: Settings
    pairs: tuple[Pair, ...]
    measures: tuple[Measure, ...]


def read_suite(path: Path, overrides: Overrides = Overrides()) -> Suite:
    """Read and validate a suite file, with the command line's choices in place of its own.

    Raises:
        ConfigurationError: anything in it is unknown, misspelt or of the wrong type.
    """
    file = decode(path)
    return _plan(path, file, overrides, Names(path, file, overrides))


def _plan(path: Path, file: SuiteFile, overrides: Overrides, names: Names) -> Suite:
    where = names.where
    models, datasets = names.models(), names.datasets()
    known_models = {alias for model in models for alias in _model_names(model)}
    known_models |= {*names.model_definitions, *catalog.models()}
    known_datasets = {dataset.alias for dataset in datasets}
    known_datasets |= {*names.dataset_definitions, *catalog.datasets()}
    # What the command line replaces may still be named by the suite's checks.
    known_models |= set(file.embedbench.models if overrides.models else ())
    known_datasets |= set(file.embedbench.datasets if overrides.datasets else ())
    rules = []
    for index, table in enumerate(file.checks):
        at = f"{where}: {names.checks_at}[{index}]"
        model_patterns = _patterns(table.model, f"{at}.model", known_models)
        dataset_patterns = _patterns(table.dataset, f"{at}.dataset", known_datasets)
        rules.append((model_patterns, dataset_patterns, _checks_of(table, at)))
    at = "--embed-profile" if overrides.profiles else f"{where}: {names.table}.profiles"
    shapes = [
        _parse(parse_shape, text, f"{at}[{index}]")
        for index, text in enumerate(overrides.profiles or file.embedbench.profiles)
    ]
    measures = [
        _parse(parse_measure, text, f"{where}: {names.table}.metrics[{index}]")
        for index, text in enumerate(file.embedbench.metrics)
    ]
    pairs = []
    for model in models:
        for dataset in datasets:
            checks = [
                check
                for model_patterns, dataset_patterns, found in rules
                if _matches(model_patterns, _model_names(model)) and _matches(dataset_patterns, [dataset.alias])
                for check in found
            ]
            pairs.append(Pair(model=model, dataset=dataset, checks=_completed(checks, measures, shapes)))
    if rules and not models:
        # Without checks a suite may be there for its definitions, which tests in Python use.
        fix = f'write models = ["minilm"] in [{names.table}]'
        raise ConfigurationError(f"{where}: {names.checks_at}", "no model to check", fix)
    measured = {check.measure for pair in pairs for check in pair.checks if isinstance(check, QualityCheck)}
    every = dict.fromkeys([*DEFAULT_MEASURES, *measures, *sorted(measured)])
    return Suite(path=path, settings=file.embedbench, pairs=tuple(pairs), measures=tuple(every))


def _completed(checks: list[Check], measures: list[Measure], shapes: list[LoadShape]) -> tuple[Check, ...]:
    """Quality first, then load; what the suite wants reported but not limited gets a check without a limit."""
    quality = [check for check in checks if isinstance(check, QualityCheck)]
    limited = {check.measure for check in quality}
    wanted = measures if measures or quality else [Measure("ndcg", 10)]
    quality += [QualityCheck(measure=measure) for measure in wanted if measure not in limited]
    budgets = [check for check in checks if isinstance(check, BudgetCheck)]
    profiled = {check.shape for check in budgets}
    budgets += [BudgetCheck(shape=shape) for shape in shapes if shape not in profiled]
    return tuple(dict.fromkeys([*quality, *sorted(budgets, key=lambda check: check.shape)]))


def _checks_of(table: CheckTable, at: str) -> list[Check]:
    checks: list[Check] = []
    for index, text in enumerate(table.quality):
        limit = _parse(parse_quality, text, f"{at}.quality[{index}]")
        checks.append(QualityCheck(measure=parse_measure(limit.subject), limit=limit))
    if not table.profile:
        for key in ("budget", "hardware"):
            if getattr(table, key):
                raise ConfigurationError(f"{at}.{key}", "needs a load profile", "add profile = 'b1 c16'")
        if not checks:
            raise ConfigurationError(at, "checks nothing", "add quality = ['ndcg@10 >= 0.3'] or a profile")
        return checks
    shape = _parse(parse_shape, table.profile, f"{at}.profile")
    budgets = [_parse(parse_budget, text, f"{at}.budget[{index}]") for index, text in enumerate(table.budget)]
    checks += [BudgetCheck(shape=shape, limit=limit, hardware=table.hardware) for limit in budgets]
    return checks if budgets else [*checks, BudgetCheck(shape=shape)]


def _parse(parser: Callable[[str], T], text: str, where: str) -> T:
    try:
        return parser(text)
    except ValueError as error:
        problem, _, fix = str(error).partition("; ")
        raise ConfigurationError(where, problem, fix) from None


def _patterns(value: str | list[str], where: str, known: Iterable[str]) -> list[str]:
    patterns = [value] if isinstance(value, str) else value
    folded = {name.casefold() for name in known}
    for pattern in patterns:
        if not GLOB.search(pattern) and pattern.casefold() not in folded:
            raise ConfigurationError(
                where, f"no {where.rpartition('.')[2]} is called {pattern!r}", closest(pattern, known)
            )
    return [pattern.casefold() for pattern in patterns]


def _model_names(model: NamedModel) -> list[str]:
    return [model.alias, model.name, *model.spec.aliases]


def _matches(patterns: list[str], names: Iterable[str]) -> bool:
    return any(fnmatchcase(name.casefold(), pattern) for name in names for pattern in patterns)
