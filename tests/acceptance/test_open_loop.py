"""A load at one rate, as a user asks for it: the verdicts, the files, the card."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import pytest

from pytest_embedbench.load.quantiles import percentile
from pytest_embedbench.reports.cards import parse

if TYPE_CHECKING:
    from tests.acceptance.conftest import Project


def many(project: Project) -> None:
    """Write a suite whose data has enough texts for a p50."""
    project.suite("recall@1 >= 0")
    numbers = [str(number) for number in range(60)]
    docs = {f"d{number}": f"fact number {number}" for number in numbers}
    project.data(docs=docs, queries={f"q{number}": f"which is {number}" for number in numbers}, qrels={"q1": {"d1": 1}})


def test_a_rate_is_measured_and_everything_can_be_computed_again(project: Project) -> None:
    many(project)
    result = project.run("--embed-profile=b1 r40.0", "-k", "budget")
    result.assert_outcomes(passed=1, deselected=1)
    (row,) = project.table(result)
    details = project.result().embedbench
    profile = details.profiles["b1 r40"]
    assert (row["check"], row["verdict"]) == ("b1 r40", "-")
    assert details.evidence.samples["b1 r40"] == {side: f"facts.b1-r40.{side}.csv" for side in ("query", "corpus")}
    for side in ("query", "corpus"):
        found = getattr(profile, side)
        file = project.result_path().parent / details.evidence.samples["b1 r40"][side]
        rows = list(csv.DictReader(file.read_text("utf-8").splitlines()))
        assert list(rows[0]) == ["sent_s", "latency_ms", "queue_ms", "lag_ms"]
        assert len(rows) == found.requests
        assert found.ended == "texts"
        latencies, lags = (sorted(float(row[name]) for row in rows) for name in ("latency_ms", "lag_ms"))
        assert percentile(latencies, 0.5) == pytest.approx(found.p50_ms, abs=1e-3)
        assert percentile(lags, 0.99) == pytest.approx(found.arrivals.lag_ms, abs=1e-3)
        answered = max(float(row["sent_s"]) + float(row["latency_ms"]) / 1000 for row in rows)
        assert found.requests / answered == pytest.approx(found.requests_per_s, rel=1e-3)
        assert found.arrivals.rate_per_s == 40
        assert found.warm_up.requests + found.requests == 60
    (section,) = parse(project.card_text()).sections
    for block in section.performance:
        assert block.profile.endswith(" b1 r40")
        assert {figure.unit for figure in block.figures.values()} == {"ms"}, "no throughput"


OVERLOADED = """
[[checks]]
profile = "b1 r5000"
budget = ["corpus p50 <= 1000 s", "corpus max <= 1000 s", "memory <= 1000 GB"]
"""


def test_no_budget_on_latency_passes_where_the_server_does_not_keep_up(project: Project) -> None:
    """Every batch takes a while and holds few texts, which all come at once: some are answered in the time, not all."""
    many(project)
    project.write(
        "slow.py",
        """
        import time
        from pytest_embedbench.models.local.sentence_transformer import SentenceTransformerModel

        forward = SentenceTransformerModel.forward

        def slow(self, batch, role):
            time.sleep(0.1)
            return forward(self, batch, role)

        SentenceTransformerModel.forward = slow
        """,
    )
    project.write("embedbench.toml", (project.folder / "embedbench.toml").read_text("utf-8") + OVERLOADED)
    options = ("-p", "slow", "-k", "budget", "--embed-profile-seconds=0.4", "--embed-batch-tokens=16")
    result = project.spawn(*options)
    result.assert_outcomes(failed=2, passed=1, deselected=1)
    verdicts = {row["check"]: (row["measured"], row["verdict"]) for row in project.table(result)}
    assert verdicts["b1 r5000 corpus p50"] == ("did not keep up", "FAIL")
    assert verdicts["b1 r5000 corpus max"] == ("did not keep up", "FAIL")
    assert verdicts["b1 r5000 memory"][1] == "pass"
    told = project.text(result)
    assert "b1 r5000 corpus p50 must be <= 1,000 s: the server did not keep up: it answered " in told
    assert "requests had no answer in the end; latency grows for as long as the load lasts" in told
    side = project.result().embedbench.profiles["b1 r5000"].corpus
    assert side.unanswered > 0
    assert "Corpus under " in project.card_text()
