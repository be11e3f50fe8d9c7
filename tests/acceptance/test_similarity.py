"""Endpoints whose vectors are not of length 1: their documents are ranked by cosine, or as the definition says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.toy_endpoint import ToyEndpoint

if TYPE_CHECKING:
    from tests.acceptance.conftest import Project
    from tests.support.toy_endpoint import Rows

pytest.importorskip("httpx2")

SUITE = """
[embedbench]
datasets = ["facts"]
conformance = false

[models.unit]
kind = "endpoint"
url = "{unit}"
model = "toy"

[models.raw]
kind = "endpoint"
url = "{raw}"
model = "toy"

[models.by-dot]
kind = "endpoint"
url = "{raw}"
model = "toy"
similarity = "dot"
"""


def of_any_length(_: ToyEndpoint, texts: list[str], rows: Rows, __: bool) -> Rows:
    """Give vectors other lengths; one document's is so long that it wins every inner product."""
    lengths = [40.0 if text.startswith("Green tea") else 1 + len(text) % 5 for text in texts]
    return [length * row for length, row in zip(lengths, rows, strict=True)]


@pytest.mark.parametrize("variant", ["", "@dim=40", "@int8", "@binary"])
def test_vectors_of_any_length_score_as_unit_vectors(project: Project, variant: str) -> None:
    project.data()
    with ToyEndpoint() as unit, ToyEndpoint(of_any_length) as raw:
        project.write("embedbench.toml", SUITE.format(unit=unit.url, raw=raw.url))
        names = [f"--embed-model={name}{variant}" for name in ("unit", "raw", "by-dot")]
        done = project.run(*names)
        assert done.ret == 0, project.text(done)
    of_unit, of_raw, by_dot = (
        project.result(model=f"{name}{variant}").embedbench for name in ("unit", "raw", "by-dot")
    )
    assert (of_unit.model.facts.similarity, of_raw.model.facts.similarity) == ("cosine", "cosine")
    assert of_raw.means == of_unit.means
    assert by_dot.model.facts.similarity == "dot"
    if variant != "@binary":  # of which no length is left
        assert by_dot.means["ndcg@10"] < of_raw.means["ndcg@10"]
    assert "| Similarity | dot |" in project.card_text(f"by-dot{variant}")
