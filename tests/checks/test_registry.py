"""Every kind of check says of itself all that pytest, xdist and the engine need to know."""

from __future__ import annotations

import pkgutil
from importlib import import_module

import pytest

from pytest_embedbench import checks
from pytest_embedbench.checks.budget import BudgetCheck
from pytest_embedbench.checks.check import Check
from pytest_embedbench.checks.max_rate import MaxRateCheck
from pytest_embedbench.checks.quality import QualityCheck
from pytest_embedbench.checks.registry import CHECKS
from pytest_embedbench.checks.regression import RegressionCheck
from pytest_embedbench.checks.slowdown import SlowdownCheck
from pytest_embedbench.checks.verdict import PairNames
from pytest_embedbench.core.measures import Measure
from pytest_embedbench.core.thresholds import RateLimit, parse_budget
from pytest_embedbench.errors import ProvenFailure
from pytest_embedbench.load.shape import LoadShape
from pytest_embedbench.models.spec import ModelSpec, NamedModel

NDCG10 = Measure("ndcg", 10)
RATE = parse_budget("query max rate >= 50 /s at p99 <= 500 ms")
assert isinstance(RATE, RateLimit)

EXAMPLES: list[tuple[Check, str]] = [
    (QualityCheck(measure=NDCG10), "quality[ndcg@10]"),
    (BudgetCheck(shape=LoadShape(1, 16)), "budget[b1-c16]"),
    (BudgetCheck(shape=LoadShape(1, 16), limit=parse_budget("query p50 <= 1 s")), "budget[b1-c16-query-p50]"),
    (MaxRateCheck(shape=LoadShape(1, 16), limit=RATE), "budget[b1-c16-query-max-rate]"),
    (
        SlowdownCheck(
            shape=LoadShape(1, 4),
            side="query",
            against=NamedModel(alias="old", spec=ModelSpec(hub="org/old")),
            max_slowdown=1.1,
            confidence=0.95,
        ),
        "slowdown[b1-c4-query]",
    ),
    (RegressionCheck(measure=NDCG10, max_drop=0.005, confidence=0.95), "regression[ndcg@10]"),
]


def test_the_registry_has_every_kind() -> None:
    for module in pkgutil.iter_modules(checks.__path__):
        import_module(f"pytest_embedbench.checks.{module.name}")

    def below(kind: type[Check]) -> set[type[Check]]:
        return {kind}.union(*map(below, kind.__subclasses__()))

    assert below(Check) - {Check} == set(CHECKS)
    assert {type(check) for check, _ in EXAMPLES} == set(CHECKS), "each kind has an example here"


@pytest.mark.parametrize("kind", CHECKS)
def test_a_kind_is_complete(kind: type[Check]) -> None:
    assert kind.kind.isidentifier()
    for attribute in ("name", "title", "judge"):
        assert getattr(kind, attribute) is not getattr(Check, attribute)
    assert kind.order or not kind.needs_all_pairs, "all pairs are evaluated before it"


@pytest.mark.parametrize(("check", "name"), EXAMPLES)
def test_names_in_node_ids(check: Check, name: str) -> None:
    assert check.name == name
    assert name.startswith(f"{check.kind}[")
    assert check.title


def test_names_and_titles_tell_checks_apart() -> None:
    assert len({check.name for check, _ in EXAMPLES}) == len(EXAMPLES)
    assert len({check.title for check, _ in EXAMPLES}) == len(EXAMPLES)


@pytest.mark.parametrize(("check", "name"), EXAMPLES)
def test_an_ended_evaluation_says_nothing_of_other_limits(check: Check, name: str) -> None:
    failure = ProvenFailure("recall@100", ">= 0.9", 0.5, 0.25)
    verdict = check.judge_ended(PairNames("m", "d"), failure)
    assert (verdict.status, verdict.check) == ("skipped", name)
    assert verdict.explanation.startswith("the evaluation was ended early: recall@100 <= 0.5000 after 25%")
