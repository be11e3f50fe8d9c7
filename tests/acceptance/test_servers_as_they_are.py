"""Servers that take less than they are sent, or break on a text: right numbers with a note, or one error with a fix."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.toy_endpoint import Fault, Refusal, Rows, ToyEndpoint

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

[[checks]]
quality = ["recall@1 >= 0.5"]
"""
pytest.importorskip("httpx2")


def run(project: Project, fault: Fault, *arguments: str) -> pytest.RunResult:
    with ToyEndpoint(fault) as server:
        project.write("embedbench.toml", SUITE.format(url=server.url))
        return project.run(f"--embed-cache={project.folder / 'vectors'}", *arguments)


def takes_two(_: ToyEndpoint, texts: list[str], rows: Rows, __: bool) -> Rows:
    if len(texts) > 2 or not all(text.strip() for text in texts):
        raise Refusal(422, {"detail": [{"loc": ["body", "input"], "msg": "at most 2 texts, none of them blank"}]})
    return rows


def breaks_on_violins(_: ToyEndpoint, texts: list[str], rows: Rows, __: bool) -> Rows:
    if any("violin" in text for text in texts):
        raise Refusal(500, {"error": {"message": "json: unsupported value: NaN"}})
    return rows


def refuses_long_texts(_: ToyEndpoint, texts: list[str], rows: Rows, __: bool) -> Rows:
    if any(len(text.split()) > 400 for text in texts):
        raise Refusal(400, {"object": "error", "message": "This model's maximum context length is 400 tokens."})
    return rows


def is_busy_under_200(server: ToyEndpoint, _: list[str], rows: Rows, __: bool) -> Rows:
    if len(server.sizes) % 2:
        raise Refusal(200, {"error": {"message": "Rate limit exceeded, try again", "code": 429}})
    return rows


def test_small_batches_and_blank_texts(project: Project) -> None:
    texts = {"d1": "The violin has four strings", "d2": "", "d3": "Rain falls from clouds", "d4": "Bees make honey"}
    queries = {"q1": "violin strings", "q2": " ", "q3": "rain clouds", "q4": "bees honey"}
    project.data(
        docs=texts, queries=queries, qrels={"q1": {"d1": 1}, "q2": {"d3": 1}, "q3": {"d3": 1}, "q4": {"d4": 1}}
    )
    result = run(project, takes_two)
    assert result.ret == 0
    result.stdout.fnmatch_lines_random(
        [
            "note: served: the server refuses 3 texts in one request (HTTP 422: at most 2 texts*); they are sent 1 at a time*",
            "note: facts: documents are empty; * or ranked last behind an endpoint (1, first: d2)",
            "note: facts: queries are empty; * or nothing behind an endpoint (1, first: q2)",
        ]
    )
    assert project.result(model="served").embedbench.means["recall@1"] == 0.75


@pytest.mark.parametrize("suite", ["embedbench.toml", "pyproject.toml"])
def test_a_key_for_a_model_named_by_its_address_comes_with_the_definition(project: Project, suite: str) -> None:
    project.data()
    begins = "[tool.embedbench]\n" if suite == "pyproject.toml" else ""
    if begins:
        project.write(suite, begins)
    options = ("--embed-dataset=facts", "-k", "quality", f"--embed-cache={project.folder / 'vectors'}")
    with ToyEndpoint(takes_two) as server:
        noted = project.run(f"--embed-model={server.url}#toy", *options)
        start = next(index for index, line in enumerate(noted.outlines) if "has no definition yet" in line)
        assert noted.outlines[start].endswith(
            f"{suite}, add what the fix or note above says, and use --embed-model=served"
        )
        definition = [line.strip() for line in noted.outlines[start + 1 : start + 5]]
        assert definition[1:] == ['kind = "endpoint"', f'url = "{server.url}"', 'model = "toy"']
        project.write(suite, "\n".join([begins, *definition, "batch_texts = 2"]))
        followed = project.run("--embed-model=served", *options)
    assert followed.ret == 0
    assert "note: served: the server refuses" not in project.text(followed)
    assert "has no definition yet" not in project.text(followed)


def test_a_text_that_breaks_the_server(project: Project) -> None:
    project.data()
    result = run(project, breaks_on_violins)
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "model 'served': document * breaks the server: HTTP 500: json: unsupported value: NaN (* characters: '*violin*",
            "  * texts were encoded; the embedding cache has them for the next run",
            "  fix: look at the text*",
        ]
    )
    assert "Traceback" not in project.text(result)


def test_a_text_that_is_too_long(project: Project) -> None:
    texts = {"d1": "The violin has four strings", "d2": "whale " * 500, "d3": "Rain falls from clouds"}
    project.data(docs=texts, queries={"q1": "violin strings"}, qrels={"q1": {"d1": 1}})
    result = run(project, refuses_long_texts)
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "model 'served': document d2 is too long for the server: HTTP 400: This model's maximum context length is 400*",
            "  2 of 3 texts were encoded; the embedding cache has them for the next run",
            "  fix: cut texts here, with max_seq_length = 400 and tokenizer = * or let the server cut them: *",
        ]
    )


def test_an_error_under_200_that_passes(project: Project) -> None:
    project.data()
    assert run(project, is_busy_under_200).ret == 0
