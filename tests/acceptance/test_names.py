"""Two things under one name: results, cards and baselines of different models and datasets never overwrite each other."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from pytest_embedbench.results.schema import Details
from pytest_embedbench.results.store import Store
from tests.acceptance.conftest import Project

FUNCTION = """
import numpy as np

def encode(texts, role):
    return np.array([[text.count(letter) + 0.5 for letter in {letters!r}] for text in texts])
"""


@pytest.fixture
def functions(project: Project) -> Project:
    """Return a project with data and two functions as models, which load nothing."""
    project.data()
    for name, letters in (("first", "aeiou"), ("second", "tea")):
        project.write(f"{name}_function.py", FUNCTION.format(letters=letters))
    project.write("pytest.ini", "[pytest]\npythonpath = .\n")
    return project


def suite(
    project: Project, models: str, datasets: str = "['facts']", more: str = "", name: str = "embedbench.toml"
) -> Path:
    return project.write(name, f"[embedbench]\nmodels = {models}\ndatasets = {datasets}\n{more}")


def stored(project: Project) -> dict[str, Details]:
    """Return every stored result by its path below the results."""
    store = Store(project.folder / "embedbench-out" / "results")
    return {path.relative_to(store.root).as_posix(): result.embedbench for path, result in store.results()}


TWO = """
[models.a]
callable = "first_function:encode"
name = "org/x"

[models.b]
callable = "{module}_function:encode"
name = "org/x"
{more}
"""


def test_two_definitions_of_one_name_end_the_session_before_a_model_is_loaded(functions: Project) -> None:
    suite(functions, "['a', 'b']", more=TWO.format(module="first", more="query_prompt = 'tea '"))
    functions.write("first_function.py", "raise RuntimeError('imported')")
    result = functions.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    problem = "models 'a' and 'b' are called org/x, so their results would overwrite each other"
    fix = 'give one of them a name of its own: name = "org/x-2" in [[]models.b]'
    result.stderr.fnmatch_lines(
        [f"*embedbench.toml: {problem}; they differ in query_prompt None and 'tea '", f"*fix: {fix}"]
    )
    assert stored(functions) == {}


@pytest.mark.parametrize(
    ("module", "more"), [("first", "query_prompt = 'tea '"), ("second", "")], ids=["prompt", "code"]
)
def test_another_definition_does_not_replace_a_result_of_an_earlier_session(
    functions: Project, module: str, more: str
) -> None:
    suite(functions, "['a']", more=TWO.format(module=module, more=more))
    assert functions.run().ret == 0
    before = stored(functions)
    suite(functions, "['b']", more=TWO.format(module=module, more=more))
    result = functions.run()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        [
            "*org__x/no_revision_available/facts.json: holds the result of a on facts, which is another one (*",
            "*fix: *name*",
        ]
    )
    assert stored(functions) == before
    suite(functions, "['a']", more=TWO.format(module=module, more=more))
    again = functions.run()
    again.stdout.fnmatch_lines(["*reused: same model, data and settings*"])


def test_a_model_does_not_write_into_the_folder_of_another_one(functions: Project) -> None:
    functions.data("more")
    definition = "[models.a]\ncallable = 'first_function:encode'\nname = '{}'\n"
    suite(functions, "['a']", more=definition.format("org/x"))
    assert functions.run().ret == 0
    suite(functions, "['a']", "['more']", more=definition.format("org__x"))
    result = functions.run()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        ["*org__x/no_revision_available: holds results of org/x, and org__x would have the same*"]
    )
    (path,) = stored(functions)
    meta = functions.folder / "embedbench-out" / "results" / Path(path).parent / "model_meta.json"
    assert json.loads(meta.read_text("utf-8"))["name"] == "org/x"


def test_the_same_definition_under_another_alias_is_used_again(functions: Project) -> None:
    suite(functions, "['a']", more=TWO.format(module="first", more=""))
    functions.run()
    suite(functions, "['b']", more=TWO.format(module="first", more=""))
    functions.run().stdout.fnmatch_lines(["*reused: same model, data and settings*"])
    (details,) = stored(functions).values()
    assert details.model.alias == "b", "results are known by the name that is used now"


def test_two_suites_with_other_data_of_one_name_do_not_share_numbers(functions: Project) -> None:
    """One session, two folders with a suite each, both with a dataset called facts."""
    for name in ("one", "two"):
        shutil.copytree(functions.folder / "facts", functions.folder / name / "facts")
        suite(functions, "['first_function:encode']", name=f"{name}/embedbench.toml")
    qrels = functions.folder / "two" / "facts" / "qrels" / "test.tsv"
    rows = qrels.read_text("utf-8").splitlines()
    qrels.write_text("\n".join([rows[0], *rows[1:2], ""]), "utf-8")
    result = functions.run("one/embedbench.toml", "two/embedbench.toml", "--embed-results=both")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        ["*facts.json: holds the result of first_function:encode on facts, which is another one*"]
    )


def test_an_updated_baseline_does_not_mix_two_suites(functions: Project) -> None:
    for name, module in (("one", "first"), ("two", "second")):
        shutil.copytree(functions.folder / "facts", functions.folder / name / "facts")
        definition = f"[models.mine]\ncallable = '{module}_function:encode'\nname = 'org/{module}'\n"
        suite(functions, "['mine']", more=definition, name=f"{name}/embedbench.toml")
    suites = [functions.folder / name / "embedbench.toml" for name in ("one", "two")]
    result = functions.run(*suites, "--embed-update-baseline", "--embed-baseline=shared.json")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["baseline: not written: *shared.json: two suites have a different mine on facts; *"])
    assert not (functions.folder / "shared.json").exists()


def test_a_result_has_the_name_of_the_mteb_task_and_an_older_one_is_renamed(functions: Project) -> None:
    model = "['first_function:encode']"
    suite(functions, model)
    functions.run()
    (before,) = stored(functions)
    suite(functions, model, more="[datasets.facts]\npath = 'facts'\nmteb_task = 'FactsRetrieval'\n")
    result = functions.run()
    result.stdout.fnmatch_lines(["result: *FactsRetrieval.json (reused*"])
    assert list(stored(functions)) == [before.replace("facts.json", "FactsRetrieval.json")]
    folder = (functions.folder / "embedbench-out" / "results" / before).parent
    assert {path.name for path in folder.iterdir()} == {
        "FactsRetrieval.json", "FactsRetrieval.run.trec", "FactsRetrieval.per-query.jsonl", "model_meta.json",
    }  # fmt: skip
    data = json.loads((folder / "FactsRetrieval.json").read_text("utf-8"))
    assert data["task_name"] == "FactsRetrieval"


@pytest.mark.parametrize("name", ["model_meta", "nul", "x" * 300, "a b/c:d", "..."])
def test_datasets_of_any_name_have_results(functions: Project, name: str) -> None:
    suite(
        functions,
        "['first_function:encode']",
        f"[{json.dumps(name)}]",
        f"[datasets.{json.dumps(name)}]\npath = 'facts'\n",
    )
    assert functions.run().ret == 0
    (details,) = stored(functions).values()
    assert details.dataset.name == name
    functions.run().stdout.fnmatch_lines(["*(reused: same model, data and settings)*"])


def test_two_revisions_of_a_model_have_a_card_each(functions: Project) -> None:
    definitions = "".join(
        f"[models.{alias}]\ncallable = 'first_function:encode'\nname = 'org/x'\nrevision = '{alias}'\n"
        for alias in ("v1", "v2")
    )
    suite(functions, "['v1', 'v2']", more=definitions)
    assert functions.run().ret == 0
    cards = {path.name: path.read_text("utf-8") for path in (functions.folder / "embedbench-out" / "cards").iterdir()}
    assert set(cards) == {"org__x@v1.md", "org__x@v2.md"}
    suite(functions, "['v2']", more=definitions)
    functions.run()
    assert (functions.folder / "embedbench-out" / "cards" / "org__x.md").is_file()
