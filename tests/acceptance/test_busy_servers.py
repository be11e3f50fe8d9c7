"""A server whose vectors are wrong while it is busy: an error, and nothing of it in results or cache."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.toy_endpoint import ToyEndpoint, mixes_up

if TYPE_CHECKING:
    from tests.acceptance.conftest import Project

SUITE = """
[embedbench]
models = ["served"]
datasets = ["facts"]
conformance = false

[models.served]
kind = "endpoint"
url = "{url}"
model = "toy"
batch_texts = 2
concurrency = {concurrency}

[[checks]]
{check}
"""
pytest.importorskip("httpx2")


def test_vectors_that_are_mixed_up_while_busy_are_an_error_and_not_used_again(project: Project) -> None:
    project.data()
    cache = f"--embed-cache={project.folder / 'vectors'}"
    check = 'quality = ["recall@1 >= 0.75"]'
    with ToyEndpoint(mixes_up) as server:
        project.write("embedbench.toml", SUITE.format(url=server.url, concurrency=8, check=check))
        result = project.run(cache)
        assert result.ret == 1
        result.stdout.fnmatch_lines(
            [
                "*'s vector that came while up to 8 requests of up to 2 texts were in flight is * apart (1 - cosine)*",
                "* texts that were asked for again got another vector; none is kept",
                "*fix: *concurrency = 1 in the model's definition*",
            ]
        )
        assert not list(project.folder.rglob("facts.json"))
        project.write("embedbench.toml", SUITE.format(url=server.url, concurrency=1, check=check))
        result = project.run(cache)
        assert result.ret == 0
        assert "reused" not in result.stdout.str()


def test_vectors_that_are_mixed_up_under_load_leave_no_latency(project: Project) -> None:
    project.data()
    with ToyEndpoint(mixes_up) as server:
        suite = SUITE.format(url=server.url, concurrency=1, check='quality = ["recall@1 >= 0.1"]')
        project.write("embedbench.toml", suite)
        result = project.run("--embed-profile=b2 c4", f"--embed-cache={project.folder / 'vectors'}")
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "*a query's vector that came under load is * apart (1 - cosine)*",
            "* texts that were asked for again got another vector; no latency is kept",
        ]
    )
    stored = project.result(model="*served*")
    assert stored.embedbench.profiles == {}
    assert stored.scores
    assert not list(project.folder.rglob("*b2-c4*"))


def test_vectors_for_tests_in_python_are_verified(project: Project) -> None:
    project.data()
    project.write(
        "test_mine.py",
        """
        import pytest

        @pytest.mark.embedbench(models=["served"], datasets=["facts"])
        def test_vectors(embed_model):
            embed_model.encode([f"text {number}" for number in range(12)], role="query")
        """,
    )
    with ToyEndpoint(mixes_up) as server:
        suite = SUITE.format(url=server.url, concurrency=4, check='quality = ["recall@1 >= 0.1"]')
        project.write("embedbench.toml", suite)
        result = project.run("test_mine.py")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*a query's vector that came while up to 4 requests of up to 2 texts were in flight*"])
