"""From tables and names to pairs and the checks each of them must pass."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TypeVar, get_args

import msgspec

from pytest_embedbench import catalog
from pytest_embedbench.checks.budget import BudgetCheck
from pytest_embedbench.checks.check import Check
from pytest_embedbench.checks.max_rate import MaxRateCheck
from pytest_embedbench.checks.quality import QualityCheck
from pytest_embedbench.checks.regression import RegressionCheck
from pytest_embedbench.checks.slowdown import Side, SlowdownCheck
from pytest_embedbench.core.limits import Limit, RateLimit, parse_budget, parse_quality
from pytest_embedbench.core.measures import DEFAULT_MEASURES, MAIN_MEASURE, Measure, parse_measure
from pytest_embedbench.core.parsing import parse_at
from pytest_embedbench.datasets.spec import NamedDataset
from pytest_embedbench.errors import ConfigurationError, closest
from pytest_embedbench.load.shape import OpenShape, Shape, parse_shape, shape_order
from pytest_embedbench.models.spec import NamedModel
from pytest_embedbench.suite.examinees import Examinee, examinees
from pytest_embedbench.suite.names import Names, Overrides
from pytest_embedbench.suite.pairs import Pair
from pytest_embedbench.suite.tables import (
    DEFAULT_SPEED_PROFILE,
    CheckTable,
    RegressionTable,
    Settings,
    SuiteTables,
    decode,
)

T = TypeVar("T")


GLOB = re.compile(r"[*?\[]")


class Suite(msgspec.Struct, frozen=True, kw_only=True):
    """A validated suite, its names resolved against catalogue and disk."""

    path: Path
    settings: Settings
    pairs: tuple[Pair, ...]
    measures: tuple[Measure, ...]
    examined: tuple[Examinee, ...] = ()
    """Models whose conformance is tested."""
    regression: RegressionTable | None = None


def read_suite(path: Path, overrides: Overrides = Overrides()) -> Suite:
    """Read and validate a suite file, with the command line's choices in place of its own.

    Raises:
        ConfigurationError: anything in it is unknown, misspelt or of the wrong type.
    """
    file = decode(path)
    return _plan(path, file, overrides, Names(path, file, overrides))


def _plan(path: Path, file: SuiteTables, overrides: Overrides, names: Names) -> Suite:
    where = names.where
    models, datasets = names.models(), names.datasets()
    known_models = {alias for model in models for alias in model.names}
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
    regression = file.regression or (RegressionTable() if overrides.regression else None)
    speeds = _speeds(regression, names, models) if regression else []
    if regression and regression.compares_speed_only and not overrides.regression:
        regression = None
    comparisons = _comparisons(regression, f"{where}: {names.regression_at}") if regression else []
    pairs = []
    for model in models:
        for dataset in datasets:
            checks = [
                check
                for model_patterns, dataset_patterns, found in rules
                if _matches(model_patterns, model.names) and _matches(dataset_patterns, [dataset.alias])
                for check in found
            ]
            timed = [check for check in speeds if check.against != model]
            completed = (*_completed(checks, measures, shapes), *timed, *comparisons)
            told = model.on_task(dataset.spec.instruction)
            pairs.append(Pair(model=told, dataset=dataset, checks=completed))
    if rules and not models:
        # Without checks a suite may be there for its definitions, which tests in Python use.
        fix = f'write models = ["minilm"] in [{names.table}]'
        raise ConfigurationError(f"{where}: {names.checks_at}", "no model to check", fix)
    needed = {measure for pair in pairs for check in pair.checks for measure in check.measures}
    every = dict.fromkeys([*DEFAULT_MEASURES, *measures, *sorted(needed)])
    examined = _examined(file, overrides, names, models, datasets)
    return Suite(
        path=path,
        settings=file.embedbench,
        pairs=tuple(pairs),
        measures=tuple(every),
        examined=tuple(examined),
        regression=regression,
    )


def _examined(
    file: SuiteTables, overrides: Overrides, names: Names, models: list[NamedModel], datasets: list[NamedDataset]
) -> list[Examinee]:
    def reference(model: NamedModel) -> NamedModel:
        where = f"{names.where}: {names.define_at}models.{model.base.alias}.reference"
        found = names.another_model(model.spec.reference, where, models)
        if found.spec.kind == "bm25" or found.base == model.base:
            raise ConfigurationError(where, f"{found.alias!r} has no vectors to compare", "name another model")
        return found.base

    wanted = overrides.conformance and file.embedbench.conformance
    return examinees(models, reference, next(iter(datasets), None)) if wanted else []


def _comparisons(table: RegressionTable, at: str) -> list[RegressionCheck]:
    measures = [_parse(parse_measure, text, f"{at}.metrics[{index}]") for index, text in enumerate(table.metrics)]
    if not measures:
        raise ConfigurationError(f"{at}.metrics", "compares nothing", "write metrics = ['ndcg@10']")
    return [
        RegressionCheck(measure=measure, max_drop=table.max_drop, confidence=table.confidence)
        for measure in dict.fromkeys(measures)
    ]


def _speeds(table: RegressionTable, names: Names, models: list[NamedModel]) -> list[SlowdownCheck]:
    at = f"{names.where}: {names.regression_at}"
    if not table.speed_against:
        for key in ("max_slowdown", "profile"):
            if getattr(table, key):
                raise ConfigurationError(f"{at}.{key}", "against no model", "add speed_against = 'minilm'")
        return []
    if table.max_slowdown is None:
        raise ConfigurationError(f"{at}.speed_against", "no limit is set", "add max_slowdown = 1.1")
    if not math.isfinite(table.max_slowdown):
        raise ConfigurationError(f"{at}.max_slowdown", f"{table.max_slowdown} is no limit", "write e.g. 1.1")
    against = names.another_model(table.speed_against, f"{at}.speed_against", models)
    if against.spec.kind == "bm25":
        problem = f"{against.alias!r} makes no vectors, so it has no load to compare"
        raise ConfigurationError(f"{at}.speed_against", problem, "name an embedding model")
    shape = _parse(parse_shape, table.profile or DEFAULT_SPEED_PROFILE, f"{at}.profile")
    if isinstance(shape, OpenShape):
        problem = f"'{shape}' sends at a rate, but two models are timed with requests in flight"
        raise ConfigurationError(f"{at}.profile", problem, "write e.g. 'b1 c16'")
    return [
        SlowdownCheck(
            shape=shape, side=side, against=against, max_slowdown=table.max_slowdown, confidence=table.confidence
        )
        for side in get_args(Side)
    ]


def _completed(checks: list[Check], measures: list[Measure], shapes: list[Shape]) -> tuple[Check, ...]:
    """Put checks in order, quality before load; measures and loads that are only reported get one without a limit."""
    quality = [check for check in checks if isinstance(check, QualityCheck)]
    limited = {check.measure for check in quality}
    wanted = measures if measures or quality else [MAIN_MEASURE]
    quality += [QualityCheck(measure=measure) for measure in wanted if measure not in limited]
    budgets = [check for check in checks if isinstance(check, BudgetCheck)]
    profiled = {check.shape for check in budgets if not isinstance(check, MaxRateCheck)}
    budgets += [BudgetCheck(shape=shape) for shape in shapes if shape not in profiled]
    others = [check for check in checks if not isinstance(check, (QualityCheck, BudgetCheck))]
    return tuple(dict.fromkeys([*quality, *sorted(budgets, key=lambda check: shape_order(check.shape)), *others]))


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
    if isinstance(shape, OpenShape):
        _refuse_throughput(shape, budgets, f"{at}.budget")
    for budget in budgets:
        if isinstance(budget, RateLimit):
            checks.append(MaxRateCheck(shape=shape, limit=budget, hardware=table.hardware))
        else:
            checks.append(BudgetCheck(shape=shape, limit=budget, hardware=table.hardware))
    return checks if budgets else [*checks, BudgetCheck(shape=shape)]


def _refuse_throughput(shape: OpenShape, budgets: Iterable[Limit], at: str) -> None:
    for index, limit in enumerate(budgets):
        if limit.subject.endswith(" throughput"):
            problem = f"throughput under '{shape}' is what is sent, not what the model can do"
            fix = "add a profile such as 'b1 c16' for it, or write 'max rate >= 50 /s at p99 <= 500 ms'"
            raise ConfigurationError(f"{at}[{index}]", problem, fix)


def _parse(parser: Callable[[str], T], text: str, where: str) -> T:
    return parse_at(where, parser, text)


def _patterns(value: str | list[str], where: str, known: Iterable[str]) -> list[str]:
    patterns = [value] if isinstance(value, str) else value
    folded = {name.casefold() for name in known}
    for pattern in patterns:
        if not GLOB.search(pattern) and pattern.casefold() not in folded:
            raise ConfigurationError(
                where, f"no {where.rpartition('.')[2]} is called {pattern!r}", closest(pattern, known)
            )
    return [pattern.casefold() for pattern in patterns]


def _matches(patterns: list[str], names: Iterable[str]) -> bool:
    return any(fnmatchcase(name.casefold(), pattern) for name in names for pattern in patterns)
