"""``max_slowdown``, ``speed_against`` and ``profile`` of the regression table, and the checks that they make."""

from __future__ import annotations

from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

from pytest_embedbench.checks.regression import RegressionCheck
from pytest_embedbench.checks.slowdown import SlowdownCheck
from pytest_embedbench.errors import ConfigurationError
from pytest_embedbench.suite.model_names import Overrides
from pytest_embedbench.suite.plan import Suite, read_suite

if TYPE_CHECKING:
    from pathlib import Path

SILENT = Overrides()
SPEED = 'max_slowdown = 1.1\nspeed_against = "minilm"\n'


def read(folder: Path, text: str, overrides: Overrides = SILENT, *, name: str = "embedbench.toml") -> Suite:
    path = folder / name
    path.write_text(dedent(text), encoding="utf-8")
    return read_suite(path, overrides)


def suite(folder: Path, table: str, models: str = '"minilm", "mine"', *, regression: bool = False) -> Suite:
    (folder / "old").mkdir(exist_ok=True)
    (folder / "old" / "modules.json").write_text("[]")
    head = f"[embedbench]\nmodels = [{models}]\n"
    text = f'{head}[models.mine]\nhub = "org/mine"\n[regression]\n{table}'
    return read(folder, text, Overrides(regression=regression))


def timed(found: Suite) -> dict[str, list[str]]:
    return {
        pair.model.alias: [
            f"{check.shape} {check.side} <= {check.max_slowdown} of {check.against.alias}"
            for check in pair.checks
            if isinstance(check, SlowdownCheck)
        ]
        for pair in found.pairs
    }


def test_every_model_but_the_baseline_is_timed_on_both_sides(tmp_path: Path) -> None:
    found = suite(tmp_path, SPEED, '"minilm", "mine", "minilm@int8", "bm25"')
    two = ["b1 c1 query <= 1.1 of minilm", "b1 c1 corpus <= 1.1 of minilm"]
    assert timed(found) == {"minilm": [], "mine": two, "minilm@int8": two, "bm25": two}


def test_the_load_and_the_confidence_are_the_tables(tmp_path: Path) -> None:
    found = suite(tmp_path, f'{SPEED}profile = "b8 c4"\nconfidence = 0.99', '"mine"')
    checks = [check for check in found.pairs[0].checks if isinstance(check, SlowdownCheck)]
    assert {(str(check.shape), check.confidence) for check in checks} == {("b8 c4", 0.99)}


@pytest.mark.parametrize(
    ("against", "alias"),
    [("minilm@dim=128", "minilm@dim=128"), ("./old", "old"), ("org/mine-v1", "org/mine-v1"), ("before", "before")],
)
def test_any_name_of_a_model_may_be_the_baseline(tmp_path: Path, against: str, alias: str) -> None:
    table = f'max_slowdown = 1.1\nspeed_against = "{against}"\n[models.before]\nhub = "org/mine"\nrevision = "v1"'
    assert timed(suite(tmp_path, table, '"mine"'))["mine"][0] == f"b1 c1 query <= 1.1 of {alias}"


def test_in_pyproject(tmp_path: Path) -> None:
    text = '[tool.embedbench]\nmodels = ["bm25"]\n[tool.embedbench.regression]\n' + SPEED
    assert len(timed(read(tmp_path, text, name="pyproject.toml"))["bm25"]) == 2
    with pytest.raises(ConfigurationError) as caught:
        read(tmp_path, text.replace("1.1", "-1"), name="pyproject.toml")
    assert caught.value.where == "pyproject.toml: tool.embedbench.regression.max_slowdown"


def compared(found: Suite) -> bool:
    """Is quality compared, too? Then there must be a baseline, too."""
    checks = [isinstance(check, RegressionCheck) for check in found.pairs[0].checks]
    assert any(checks) == (found.regression is not None)
    return any(checks)


def test_speed_alone_needs_no_baseline_of_quality(tmp_path: Path) -> None:
    assert not compared(suite(tmp_path, SPEED))
    assert compared(suite(tmp_path, SPEED, regression=True)), "there is one, or it is to be written"
    assert compared(suite(tmp_path, f"{SPEED}max_drop = 0.01"))
    assert compared(suite(tmp_path, f'{SPEED}baseline = "other.json"'))
    assert compared(suite(tmp_path, f'{SPEED}metrics = ["mrr@10"]'))
    assert compared(suite(tmp_path, "max_drop = 0.005"))


@pytest.mark.parametrize(
    ("table", "where", "problem"),
    [
        ("max_slowdown = 1.1", "max_slowdown", "does not say which model to compare with"),
        ('profile = "b1 c4"', "profile", "does not say which model to compare with"),
        ('speed_against = "minilm"', "speed_against", "no limit is set"),
        ('max_slowdown = 1.1\nspeed_against = "minilmm"', "speed_against", "unknown model 'minilmm'"),
        ('max_slowdown = 1.1\nspeed_against = "minilm@dim=9999"', "speed_against", "384 dimensions, not 9999"),
        ('max_slowdown = 1.1\nspeed_against = "bm25"', "speed_against", "'bm25' has no vectors"),
        ('max_slowdown = 1.1\nspeed_against = ["minilm"]', "speed_against", "Expected str, got array"),
        ('max_slowdown = 0\nspeed_against = "minilm"', "max_slowdown", "Expected `float` > 0"),
        ('max_slowdown = -0.5\nspeed_against = "minilm"', "max_slowdown", "Expected `float` > 0"),
        ('max_slowdown = inf\nspeed_against = "minilm"', "max_slowdown", "Expected float <= 1000.0"),
        ('max_slowdown = nan\nspeed_against = "minilm"', "max_slowdown", ""),
        ('max_slowdown = "10%"\nspeed_against = "minilm"', "max_slowdown", "Expected float"),
        (f'{SPEED}profile = "c4"', "profile", "'c4' is not a load profile"),
        (f'{SPEED}profile = "b1 r50"', "profile", "'b1 r50' sends at a rate"),
        (f"{SPEED}max_slowdwon = 2", "max_slowdwon", "unknown key 'max_slowdwon'"),
    ],
)
def test_mistakes(tmp_path: Path, table: str, where: str, problem: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        suite(tmp_path, table)
    assert caught.value.where == f"embedbench.toml: regression.{where}"
    assert problem.replace("`", "") in caught.value.problem
    assert caught.value.fix


def test_two_models_under_one_name_cannot_be_told_apart(tmp_path: Path) -> None:
    (tmp_path / "minilm").mkdir()
    (tmp_path / "minilm" / "modules.json").write_text("[]")
    with pytest.raises(ConfigurationError, match="two different models are called 'minilm'"):
        read(tmp_path, f"[regression]\n{SPEED}", Overrides(models=("./minilm",), folder=tmp_path))
