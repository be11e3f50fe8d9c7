"""Models and datasets of a suite whose results would have one file are an error before anything is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_embedbench.errors import ConfigurationError
from pytest_embedbench.suite.plan import Suite, read_suite
from tests.conftest import MakeBeir


@pytest.fixture
def project(tmp_path: Path, make_beir: MakeBeir) -> Path:
    """Return a folder with two models and some datasets; nothing here loads a model."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text("{}", "utf-8")
    make_beir("data")
    return tmp_path


def read(project: Path, text: str) -> Suite:
    path = project / "embedbench.toml"
    path.write_text(text, "utf-8")
    return read_suite(path)


HUB = "[models.a]\nhub = 'org/x'\n[models.b]\nhub = 'org/x'\n"
SERVED = "[models.{}]\nkind = 'endpoint'\nurl = 'http://{}/v1'\nmodel = 'm'\nname = 'n'\n"
DATA = "[embedbench]\nmodels = ['bm25']\n"

SO = "so their results would overwrite each other; they differ in"

COLLISIONS = {
    "a prompt": (
        HUB + "query_prompt = 'query: '",
        "models 'a' and 'b' are called org/x, {so} query_prompt None and 'query: '",
        'give one of them a name of its own: name = "org/x-2" in [models.b]',
    ),
    "a length and remote code": (
        HUB + "max_seq_length = 8\ntrust_remote_code = true",
        "models 'a' and 'b' are called org/x, {so} max_seq_length None and 8; trust_remote_code False and True",
        'give one of them a name of its own: name = "org/x-2" in [models.b]',
    ),
    "variants of two definitions": (
        "[embedbench]\nmodels = ['a@int8', 'b@int8']\n" + HUB + "document_prompt = 'd: '",
        "models 'a@int8' and 'b@int8' are called org/x@int8, {so} document_prompt None and 'd: '",
        'give one of them a name of its own: name = "org/x@int8-2" in [models.b]',
    ),
    "a name of one's own": (
        SERVED.format("a", "one") + SERVED.format("b", "two"),
        "models 'a' and 'b' are called n, {so} url 'http://one/v1' and 'http://two/v1'",
        'give one of them a name of its own: name = "n-2" in [models.b]',
    ),
    "one revision of two folders": (
        "[models.a]\npath = 'one'\nname = 'n'\nrevision = 'v1'\n[models.b]\npath = 'two'\nname = 'n'\nrevision = 'v1'\n",
        "models 'a' and 'b' are called n, {so} path '{at}/one' and '{at}/two'",
        'give one of them a name of its own: name = "n-2" in [models.b]',
    ),
    "a slash and two underscores": (
        "[models.'org/x']\npath = 'one'\n[models.org__x]\npath = 'two'\n",
        "models 'org/x' and 'org__x' have one folder for their results: org/x and org__x are org__x both",
        'give one of them a name of its own: name = "org__x-2" in [models.org__x]',
    ),
    "case": (
        "[models.Mine]\npath = 'one'\n[models.mine]\npath = 'two'\n",
        "models 'Mine' and 'mine' have one folder for their results: Mine and mine are mine both",
        'give one of them a name of its own: name = "mine-2" in [models.mine]',
    ),
    "a blank": (
        DATA + "[datasets.'set 1']\npath = 'data'\n[datasets.set_1]\npath = 'data'\ndrop_self = true\n",
        "datasets 'set 1' and 'set_1' have one file for their results, set_1.json",
        "define one of them under another name, in [datasets.NAME]",
    ),
    "one MTEB task": (
        DATA + "[datasets.ours]\npath = 'data'\nmteb_task = 'SciFact'\n[datasets.mine]\npath = 'data'\nmteb_task = 'SciFact'\n",
        "datasets 'ours' and 'mine' have one file for their results, SciFact.json, since both are MTEB's SciFact",
        "test on one of them, or define the other one without mteb_task in [datasets.NAME]",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "problem", "fix"), COLLISIONS.values(), ids=COLLISIONS)
def test_what_collides_is_an_error_that_names_both(project: Path, text: str, problem: str, fix: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read(project, text)
    error = caught.value
    assert (error.where, error.problem, error.fix) == ("embedbench.toml", problem.format(at=project, so=SO), fix)


def test_the_fix_names_the_table_of_pyproject(project: Path) -> None:
    path = project / "pyproject.toml"
    path.write_text(
        "[tool.embedbench]\nmodels = ['a', 'b']\n[tool.embedbench.define.models.a]\nhub = 'org/x'\n[tool.embedbench.define.models.b]\nhub = 'org/x'\nquery_prompt = 'q: '\n",
        "utf-8",
    )
    with pytest.raises(ConfigurationError, match=r"in \[tool\.embedbench\.define\.models\.b\]"):
        read_suite(path)


TASK = "[datasets.{}]\npath = 'data'\nmteb_task = 'SciFact'\nsplit = '{}'\n"

APART = {
    "names": HUB + "query_prompt = 'query: '\nname = 'org/x-prompted'",
    "revisions": HUB + "revision = 'v1'",
    "variants": "[embedbench]\nmodels = ['a', 'a@int8', 'a@dim=8']\n" + HUB,
    "facts alone": HUB + "licence = 'mit'\nbatch_texts = 32",
    "files": "[models.a]\npath = 'one'\nname = 'n'\n[models.b]\npath = 'two'\nname = 'n'\n",
    "splits of a task": DATA + TASK.format("a", "test") + TASK.format("b", "dev"),
    "one that is not tested": "[embedbench]\nmodels = ['a']\n" + HUB + "query_prompt = 'query: '",
}


@pytest.mark.parametrize("text", APART.values(), ids=APART)
def test_what_does_not_collide_is_no_error(project: Path, text: str) -> None:
    (project / "data" / "qrels" / "dev.tsv").write_text("query-id\tcorpus-id\tscore\n", "utf-8")
    assert read(project, text).pairs
