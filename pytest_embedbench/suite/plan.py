"""Read a suite: resolve its names, and give each pair of model and dataset the checks that it must pass.

A new kind of check is made from its keys here, in ``_checks_of``; the class in ``checks/`` has the ``order`` of items.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import get_args

import msgspec

from pytest_embedbench import catalog
from pytest_embedbench.checks.budget import BudgetCheck
from pytest_embedbench.checks.check import Check
from pytest_embedbench.checks.max_rate import MaxRateCheck
from pytest_embedbench.checks.quality import QualityCheck
from pytest_embedbench.checks.regression import RegressionCheck
from pytest_embedbench.checks.slowdown import Side, SlowdownCheck
from pytest_embedbench.core.measures import DEFAULT_MEASURES, MAIN_MEASURE, Measure, parse_measure
from pytest_embedbench.core.parsing import parse_at, refuse_long
from pytest_embedbench.core.thresholds import Limit, RateLimit, parse_budget, parse_quality
from pytest_embedbench.datasets.spec import NamedDataset
from pytest_embedbench.errors import ConfigurationError, closest
from pytest_embedbench.load.shape import OpenShape, Shape, parse_shape, shape_order
from pytest_embedbench.models.served.token_counts import counts_tokens
from pytest_embedbench.models.spec import NamedModel
from pytest_embedbench.suite.model_names import Names, Overrides
from pytest_embedbench.suite.pairs import Pair
from pytest_embedbench.suite.probed_models import ProbedModel, probed_models
from pytest_embedbench.suite.result_files import check_result_files
from pytest_embedbench.suite.tables import (
    DEFAULT_SPEED_PROFILE,
    CheckTable,
    RegressionTable,
    Settings,
    SuiteTables,
    decode,
)

WILDCARD = re.compile(r"[*?\[]")

Rule = tuple[list[str], list[str], list[Check]]
"""Patterns of models, patterns of datasets, and the checks of the pairs that match both."""


class Suite(msgspec.Struct, frozen=True, kw_only=True):
    """A validated suite with all of its names resolved."""

    path: Path
    settings: Settings
    pairs: tuple[Pair, ...]
    measures: tuple[Measure, ...]
    """Measures that every evaluation records."""
    examined: tuple[ProbedModel, ...] = ()
    """Models whose conformance is tested."""
    regression: RegressionTable | None = None
    """The comparison with a baseline; None if there is none."""


def read_suite(path: Path, overrides: Overrides = Overrides()) -> Suite:
    """Read and validate a suite file; the command line's choices replace its own.

    Raises:
        ConfigurationError: anything in it is unknown, misspelt or of the wrong type.
    """
    tables = decode(path)
    return _plan(tables, overrides, Names(path, tables, overrides))


def _plan(tables: SuiteTables, overrides: Overrides, names: Names) -> Suite:
    models, datasets = names.models(), names.datasets()
    check_result_files(models, datasets, names.where, names.define_at)
    rules = _rules(tables, overrides, names, models, datasets)
    at = "--embed-profile" if overrides.profiles else f"{names.where}: {names.table}.profiles"
    shapes = [
        parse_at(f"{at}[{index}]", parse_shape, text)
        for index, text in enumerate(overrides.profiles or tables.embedbench.profiles)
    ]
    measures = [
        parse_at(f"{names.where}: {names.table}.metrics[{index}]", parse_measure, text)
        for index, text in enumerate(tables.embedbench.metrics)
    ]
    regression = tables.regression or (RegressionTable() if overrides.regression else None)
    speeds = _speeds(regression, names, models) if regression else []
    compared = regression.dataset if regression else []
    compared = _patterns(
        compared, f"{names.where}: {names.regression_at}.dataset", _known_datasets(overrides, tables, names, datasets)
    )
    # A table about speed alone does not ask for a baseline; the command line or a baseline's file still may.
    if regression and regression.compares_speed_only and not overrides.regression:
        regression = None
    comparisons = _comparisons(regression, f"{names.where}: {names.regression_at}") if regression else []
    pairs = []
    for model in models:
        for dataset in datasets:
            checks = [
                check
                for model_patterns, dataset_patterns, rule_checks in rules
                if _matches(model_patterns, model.names) and _matches(dataset_patterns, [dataset.alias])
                for check in rule_checks
            ]
            completed = _completed(checks, measures, shapes)
            if _matches(compared, [dataset.alias]):
                # A model is not timed against itself.
                timed = [check for check in speeds if check.against != model]
                completed = (*completed, *timed, *comparisons)
            pairs.append(Pair(model=model.on_task(dataset.spec.instruction), dataset=dataset, checks=completed))
    if rules and not models:
        # A suite without checks needs no model: tests in Python may use its definitions.
        fix = f'write models = ["minilm"] in [{names.table}]'
        raise ConfigurationError(f"{names.where}: {names.checks_at}", "no model to check", fix)
    if not (overrides.models or overrides.datasets):  # a run of other models or data need not meet every check
        _refuse_idle_rules(rules, pairs, f"{names.where}: {names.checks_at}")
    checked = {measure for pair in pairs for check in pair.checks for measure in check.measures}
    return Suite(
        path=names.path,
        settings=tables.embedbench,
        pairs=tuple(pairs),
        measures=tuple(dict.fromkeys([*DEFAULT_MEASURES, *measures, *sorted(checked)])),
        # The models as the suite names them, without any dataset's instruction: each is probed once for all datasets.
        examined=tuple(_examined(tables, overrides, names, models, datasets)),
        regression=regression,
    )


def _rules(
    tables: SuiteTables, overrides: Overrides, names: Names, models: list[NamedModel], datasets: list[NamedDataset]
) -> list[Rule]:
    """Return a rule for every ``[[checks]]`` table; a name without a wildcard must be known."""
    known_models = {alias for model in models for alias in model.names}
    known_models |= {*names.model_definitions, *catalog.models()}
    known_datasets = _known_datasets(overrides, tables, names, datasets)
    # A check may name a model of the suite's list even when the command line replaces the list for this run.
    known_models |= set(tables.embedbench.models if overrides.models else ())
    rules = []
    for index, table in enumerate(tables.checks):
        at = f"{names.where}: {names.checks_at}[{index}]"
        model_patterns = _patterns(table.model, f"{at}.model", known_models)
        dataset_patterns = _patterns(table.dataset, f"{at}.dataset", known_datasets)
        checks = _checks_of(table, at)
        for model in models:
            if _matches(model_patterns, model.names):
                _refuse_unmeasurable(model, table, checks, at)
        rules.append((model_patterns, dataset_patterns, checks))
    return rules


def _refuse_idle_rules(rules: Sequence[Rule], pairs: Sequence[Pair], at: str) -> None:
    """Refuse a ``[[checks]]`` table that is for no pair of the suite: it would check nothing, and look as if it did."""
    for index, (model_patterns, dataset_patterns, _) in enumerate(rules):
        if not any(
            _matches(model_patterns, pair.model.names) and _matches(dataset_patterns, [pair.dataset.alias])
            for pair in pairs
        ):
            problem = "is for no model and dataset that the suite lists, so that it would check nothing"
            fix = "give model and dataset names or patterns of its lists, or add the missing one there"
            raise ConfigurationError(f"{at}[{index}]", problem, fix)


def _known_datasets(overrides: Overrides, tables: SuiteTables, names: Names, datasets: list[NamedDataset]) -> set[str]:
    """Return the names of datasets that a pattern may write without a wildcard."""
    known = {dataset.alias for dataset in datasets} | {*names.dataset_definitions, *catalog.datasets()}
    return known | set(tables.embedbench.datasets if overrides.datasets else ())


def _examined(
    tables: SuiteTables, overrides: Overrides, names: Names, models: list[NamedModel], datasets: list[NamedDataset]
) -> list[ProbedModel]:
    """Return the models whose conformance is tested; none if the suite or the command line turns that off."""

    def find_reference(model: NamedModel) -> NamedModel:
        where = f"{names.where}: {names.define_at}models.{model.base.alias}.reference"
        reference = names.another_model(model.spec.reference, where, models)
        if not reference.spec.has_vectors or reference.base == model.base:
            raise ConfigurationError(where, f"{reference.alias!r} has no vectors to compare", "name another model")
        return reference.base

    if not (overrides.conformance and tables.embedbench.conformance):
        return []
    return probed_models(models, find_reference, next(iter(datasets), None))


def _comparisons(table: RegressionTable, at: str) -> list[RegressionCheck]:
    """Return the comparisons with the baseline that every pair gets."""
    measures = [parse_at(f"{at}.metrics[{index}]", parse_measure, text) for index, text in enumerate(table.metrics)]
    if not measures:
        raise ConfigurationError(f"{at}.metrics", "no metric to compare", "write metrics = ['ndcg@10']")
    return [
        RegressionCheck(measure=measure, max_drop=table.max_drop, confidence=table.confidence)
        for measure in dict.fromkeys(measures)
    ]


def _speeds(table: RegressionTable, names: Names, models: list[NamedModel]) -> list[SlowdownCheck]:
    """Return the comparisons of speed that every pair gets, one for each side; none without ``speed_against``."""
    at = f"{names.where}: {names.regression_at}"
    if not table.speed_against:
        for key in ("max_slowdown", "profile"):
            if getattr(table, key):
                raise ConfigurationError(
                    f"{at}.{key}", "does not say which model to compare with", "add speed_against = 'minilm'"
                )
        return []
    if table.max_slowdown is None:
        raise ConfigurationError(f"{at}.speed_against", "no limit is set", "add max_slowdown = 1.1")
    against = names.another_model(table.speed_against, f"{at}.speed_against", models)
    if not against.spec.has_vectors:
        problem = f"{against.alias!r} has no vectors, so that there is no load to compare"
        raise ConfigurationError(f"{at}.speed_against", problem, "name an embedding model")
    shape = parse_at(f"{at}.profile", parse_shape, table.profile or DEFAULT_SPEED_PROFILE)
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
    """Put checks in order, quality before load; a measure or load that is only reported gets a check without limit."""
    quality = [check for check in checks if isinstance(check, QualityCheck)]
    limited = {check.measure for check in quality}
    # Every pair reports at least one quality, even if the suite names none.
    wanted = measures if measures or quality else [MAIN_MEASURE]
    quality += [QualityCheck(measure=measure) for measure in wanted if measure not in limited]
    budgets = [check for check in checks if isinstance(check, BudgetCheck)]
    # A check with a limit measures its load anyway. The search for a max rate does not: it sends at its own rates.
    profiled = {check.shape for check in budgets if not isinstance(check, MaxRateCheck)}
    budgets += [BudgetCheck(shape=shape) for shape in shapes if shape not in profiled]
    others = [check for check in checks if not isinstance(check, (QualityCheck, BudgetCheck))]
    # Several tables may give a pair the same check.
    return tuple(dict.fromkeys([*quality, *sorted(budgets, key=lambda check: shape_order(check.shape)), *others]))


def _checks_of(table: CheckTable, at: str) -> list[Check]:
    """Return the checks of one ``[[checks]]`` table."""
    checks: list[Check] = []
    for index, text in enumerate(table.quality):
        limit = parse_at(f"{at}.quality[{index}]", parse_quality, text)
        checks.append(QualityCheck(measure=parse_measure(limit.subject), limit=limit))
    if not table.profile:
        for key in ("budget", "hardware"):
            if getattr(table, key):
                raise ConfigurationError(f"{at}.{key}", "needs a load profile", "add profile = 'b1 c16'")
        if not checks:
            raise ConfigurationError(at, "has nothing to check", "add quality = ['ndcg@10 >= 0.3'] or a profile")
        return checks
    shape = parse_at(f"{at}.profile", parse_shape, table.profile)
    budgets = [parse_at(f"{at}.budget[{index}]", parse_budget, text) for index, text in enumerate(table.budget)]
    if isinstance(shape, OpenShape):
        _refuse_throughput(shape, budgets, f"{at}.budget")
    for budget in budgets:
        if isinstance(budget, RateLimit):
            checks.append(MaxRateCheck(shape=shape, limit=budget, hardware=table.hardware))
        else:
            checks.append(BudgetCheck(shape=shape, limit=budget, hardware=table.hardware))
    return checks if budgets else [*checks, BudgetCheck(shape=shape)]


def _refuse_unmeasurable(model: NamedModel, table: CheckTable, checks: Iterable[Check], at: str) -> None:
    """Refuse budgets on what cannot be measured of this model: a gate that checks nothing must not be green.

    Budgets in tok/s bind only on tokens that the model's own tokenizer counts. One for named hardware is judged when it
    is known whether it binds.
    """
    limits = [check.limit for check in checks if isinstance(check, BudgetCheck) and check.limit]
    for limit in limits:
        where = f"{at}.budget[{[parse_budget(text) for text in table.budget].index(limit)}]"
        if model.spec.kind == "endpoint" and limit.subject in {"memory", "cold start"}:
            problem = f"{limit.subject} of {model.alias!r} is its server's, which cannot be seen from here"
            raise ConfigurationError(where, problem, "leave it out for endpoints: name other models, with model = ...")
        if limit.unit == "tok/s" and not table.hardware and not counts_tokens(model):
            problem = f"tokens of {model.alias!r} are a server's count or an estimate, which tok/s cannot be judged by"
            fix = "give tokenizer, a folder or Hub id with its tokenizer.json, in [models.X]; or limit texts/s"
            raise ConfigurationError(where, problem, fix)


def _refuse_throughput(shape: OpenShape, budgets: Iterable[Limit], at: str) -> None:
    """Refuse budgets on throughput for a load whose rate is given."""
    for index, limit in enumerate(budgets):
        if limit.subject.endswith(" throughput"):
            problem = f"throughput under '{shape}' is the rate that is sent, not what the model can do"
            fix = "add a profile such as 'b1 c16' for it, or write 'max rate >= 50 /s at p99 <= 500 ms'"
            raise ConfigurationError(f"{at}[{index}]", problem, fix)


def _patterns(value: str | list[str], where: str, known: Iterable[str]) -> list[str]:
    """Return the patterns in lower case; refuse a name without a wildcard that is not known."""
    patterns = [value] if isinstance(value, str) else value
    folded = {name.casefold() for name in known}
    for pattern in patterns:
        parse_at(where, refuse_long, pattern)
        if not WILDCARD.search(pattern) and pattern.casefold() not in folded:
            kind = where.rpartition(".")[2]  # the key, model or dataset
            raise ConfigurationError(where, f"no {kind} is called {pattern!r}", closest(pattern, known))
    return [pattern.casefold() for pattern in patterns]


def _matches(patterns: list[str], names: Iterable[str]) -> bool:
    return any(fnmatchcase(name.casefold(), pattern) for name in names for pattern in patterns)
