"""Bad input: one message that names file, key, closest spelling and fix, before any model is loaded; exit code 4."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.acceptance.conftest import Project

HEAD = '[embedbench]\nmodels = ["minilm"]\ndatasets = ["facts"]\n'

OPTIONS = {
    "model": (["--embed-model=minilmm"], ["--embed-model: unknown model 'minilmm'; did you mean 'minilm'?", "fix:"]),
    "model folder": (["--embed-model=facts"], ["--embed-model: *neither modules.json nor config.json", "fix:"]),
    "endpoint": (
        ["--embed-model=http://localhost:1"],
        ["--embed-model: http://localhost:1: no model is named", "fix: write http://localhost:1#MODEL"],
    ),
    "dataset": (
        ["--embed-dataset=bultin"],
        ["--embed-dataset: unknown dataset 'bultin'; did you mean 'builtin'?", "fix:"],
    ),
    "dataset not here": (
        ["--embed-dataset=nfcorpus"],
        ["--embed-dataset: dataset 'NFCorpus' is known, but its files are not here", "fix: *--embed-dataset=PATH"],
    ),
    "dataset folder": (["--embed-dataset=empty"], ["--embed-dataset: *empty/corpus.jsonl: no such file", "fix:"]),
    "split": (["--embed-dataset=facts@dev"], ["--embed-dataset: *no split 'dev'; there are: test", "fix:"]),
    "twins": (
        ["--embed-dataset=facts,other/facts"],
        ["two different datasets are called 'facts'", "fix: define one of them under another name"],
    ),
    "suite": (["--embed-suite=missing.toml"], ["missing.toml: no such suite file", "fix:"]),
    "profile": (
        ["--embed-model=minilm", "--embed-profile=b1x4"],
        ["--embed-profile[0]: 'b1x4' is not a load profile", "'b1 c16'"],
    ),
    "no clients": (["--embed-model=minilm", "--embed-profile=b1 c0"], ["--embed-profile[0]: 'b1 c0'"]),
    "no rate": (["--embed-model=minilm", "--embed-profile=b1 r0"], ["--embed-profile[0]: 'b1 r0'", "'b1 r50'"]),
    "batch": (["--embed-model=minilm", "--embed-batch-tokens=0"], ["--embed-batch-tokens: 0 is not"]),
    "batch, plain": (["--embed-batch-tokens=-1"], ["--embed-batch-tokens: -1 is not"]),
    "seconds": (["--embed-model=minilm", "--embed-profile-seconds=-1"], ["--embed-profile-seconds: -1.0 is not"]),
    "no number": (["--embed-model=minilm", "--embed-profile-seconds=soon"], ["--embed-profile-seconds: *soon"]),
    "dtype": (["--embed-model=minilm", "--embed-dtype=fp8"], ["--embed-dtype: *fp8*fp32"]),
    "template": (["--embed-model=minilm", "--embed-card-template=no.j2"], ["--embed-card-template: no.j2: no such"]),
    "template, plain": (["--embed-card-template=no.j2"], ["--embed-card-template: no.j2: no such"]),
}

SUITES = {
    "toml": ("[embedbench\n", ["embedbench.toml: not valid TOML: ", "line 1"]),
    "table": ("[embedbnch]\n", ["embedbench.toml: embedbnch: unknown key 'embedbnch'", "'embedbench'?"]),
    "key": (
        "[embedbench]\nmodel = ['minilm']\n",
        ["embedbench.toml: embedbench.model: unknown key 'model'", "fix: did you mean 'models'?"],
    ),
    "type": (
        "[embedbench]\nmodels = 'minilm'\n",
        ["embedbench.toml: embedbench.models: a text, where a list belongs", "fix: write models = "],
    ),
    "member type": ("[embedbench]\nmodels = [1]\n", ["embedbench.toml: embedbench.models[0]: Expected str"]),
    "model": (
        "[embedbench]\nmodels = ['minlm']\n",
        ["embedbench.toml: embedbench.models[0]: unknown model 'minlm'; did you mean 'minilm'?", "fix:"],
    ),
    "dataset": (
        "[embedbench]\ndatasets = ['facts', 'fakt']\n[datasets.fakts]\npath = 'facts'\n",
        ["embedbench.toml: embedbench.datasets[1]: unknown dataset 'fakt'; did you mean 'fakts'?", "fix:"],
    ),
    "dtype": (HEAD + "dtype = 'fp8'\n", ["embedbench.toml: embedbench.dtype", "fp8"]),
    "batch": (HEAD + "batch_tokens = 0\n", ["embedbench.toml: embedbench.batch_tokens"]),
    "metric in metrics": (
        HEAD + "metrics = ['recal@5']\n",
        ["embedbench.toml: embedbench.metrics[0]: unknown metric 'recal'", "did you mean 'recall'?"],
    ),
    "profile in profiles": (HEAD + "profiles = ['16']\n", ["embedbench.toml: embedbench.profiles[0]: '16'"]),
    "metric": (
        HEAD + "[[checks]]\nquality = ['ndgc@10 >= 0.3']\n",
        ["embedbench.toml: checks[0].quality[0]: unknown metric 'ndgc'", "fix: did you mean 'ndcg'?"],
    ),
    "cut-off": (
        HEAD + "[[checks]]\nquality = ['ndcg >= 0.3']\n",
        ["embedbench.toml: checks[0].quality[0]: metric 'ndcg' has no cut-off", "fix: write ndcg@10"],
    ),
    "percent": (
        HEAD + "[[checks]]\nquality = ['ndcg@10 >= 31%']\n",
        ["embedbench.toml: checks[0].quality[0]: scores lie between 0 and 1", "fix: write ndcg@10 >= 0.31"],
    ),
    "operator": (
        HEAD + "[[checks]]\nquality = ['recall@5 => 0.3']\n",
        ["embedbench.toml: checks[0].quality[0]: operator '=>'", "fix: write '>='"],
    ),
    "quantity": (
        HEAD + "[[checks]]\nprofile = 'b1 c1'\nbudget = ['query p50 <= 9 ms', 'querry p50 <= 9 ms']\n",
        ["embedbench.toml: checks[0].budget[1]: unknown quantity 'querry p50'", "fix: did you mean 'query p50'?"],
    ),
    "unit": (
        HEAD + "[[checks]]\nprofile = 'b1 c1'\nbudget = ['query p50 <= 160 sec']\n",
        ["embedbench.toml: checks[0].budget[0]: unit 'sec'", "fix: query p50 is given in ms or s"],
    ),
    "no unit": (
        HEAD + "[[checks]]\nprofile = 'b1 c1'\nbudget = ['corpus throughput >= 5']\n",
        ["embedbench.toml: checks[0].budget[0]: no unit", "fix: corpus throughput is given in tok/s or"],
    ),
    "throughput at a rate": (
        HEAD + "[[checks]]\nprofile = 'b1 r50'\nbudget = ['query throughput >= 5 texts/s']\n",
        [
            "embedbench.toml: checks[0].budget[0]: throughput under 'b1 r50' is the rate that is sent",
            "fix: *'b1 c16'*max rate",
        ],
    ),
    "speed at a rate": (
        HEAD + "[regression]\nmax_slowdown = 2\nspeed_against = 'bge-small-en-v1.5'\nprofile = 'b1 r50'\n",
        ["embedbench.toml: regression.profile: 'b1 r50' sends at a rate", "fix: write e.g. 'b1 c16'"],
    ),
    "no profile": (
        HEAD + "[[checks]]\nbudget = ['query p50 <= 160 ms']\n",
        ["embedbench.toml: checks[0].budget: needs a load profile", "fix: add profile = 'b1 c16'"],
    ),
    "nothing": (HEAD + "[[checks]]\nmodel = '*'\n", ["embedbench.toml: checks[0]: has nothing to check", "fix:"]),
    "pattern": (
        HEAD + "[[checks]]\nmodel = 'minilmo'\nquality = ['ndcg@10 > 0']\n",
        ["embedbench.toml: checks[0].model: no model is called 'minilmo'", "fix: did you mean 'minilm'?"],
    ),
    "key of a check": (
        HEAD + "[[checks]]\nqualty = ['ndcg@10 > 0']\n",
        ["embedbench.toml: checks[0].qualty: unknown key 'qualty'", "fix: did you mean 'quality'?"],
    ),
    "key of a model": (
        "[models.mine]\npth = 'model'\n",
        ["embedbench.toml: models.mine.pth: unknown key 'pth'", "fix: did you mean 'path'?"],
    ),
    "path of a model": (
        "[models.mine]\npath = 'nowhere'\n",
        ["embedbench.toml: models.mine.path: no such folder: *nowhere", "fix:"],
    ),
    "no place": ("[models.mine]\nlicence = 'MIT'\n", ["embedbench.toml: models.mine: ", "fix: give path or hub"]),
    "path of a dataset": (
        "[datasets.mine]\npath = 'nowhere'\n",
        ["embedbench.toml: datasets.mine: *nowhere/corpus.jsonl: no such file", "fix: a BEIR folder holds"],
    ),
    "kind": ("[models.mine]\nkind = 'bm52'\n", ["embedbench.toml: models.mine.kind: Invalid enum value 'bm52'"]),
}


def refused(project: Project, result: pytest.RunResult, parts: list[str]) -> str:
    """Check that the run ended with one error that has all the parts, in their order; the message."""
    text = project.text(result)
    assert result.ret == pytest.ExitCode.USAGE_ERROR, text
    assert "Traceback" not in text
    assert "INTERNALERROR" not in text
    assert "passed" not in text
    message = text[text.lower().index("error:") :]
    pattern = "*".join(["", *parts, ""]).replace("[", "[[]")
    pytest.LineMatcher([" ".join(message.split())]).fnmatch_lines([pattern])
    assert message.count(parts[0].split("*")[0].strip()) == 1, "said once"
    return message


@pytest.mark.parametrize("case", OPTIONS)
def test_options(project: Project, case: str) -> None:
    arguments, parts = OPTIONS[case]
    project.data()
    project.data("other/facts", docs={"d": "another corpus"})
    (project.folder / "empty").mkdir()
    refused(project, project.run(*arguments), parts)


@pytest.mark.parametrize("asked", [False, True], ids=["plain", "asked"])
@pytest.mark.parametrize("case", SUITES)
def test_suites(project: Project, case: str, asked: bool) -> None:
    text, parts = SUITES[case]
    project.data()
    project.write("embedbench.toml", text)
    refused(project, project.run(*(["--embed-suite=embedbench.toml"] if asked else [])), parts)


def test_a_wrong_suite_stops_ordinary_tests_too(project: Project) -> None:
    project.write("sub/embedbench.toml", "[embedbnch]\n")
    project.write("test_ordinary.py", "def test_ordinary():\n    print('ran')\n")
    refused(project, project.run("-s"), ["embedbench.toml: embedbnch"])


def test_the_message_says_which_of_several_suites(project: Project) -> None:
    project.suite("recall@1 >= 0.5")
    project.write("deep/down/embedbench.toml", "[embedbnch]\n")
    message = refused(project, project.run(), ["embedbench.toml: embedbnch"])
    assert "deep/down/embedbench.toml" in message


def test_a_key_in_pyproject_is_named_where_it_stands(project: Project) -> None:
    project.write("pyproject.toml", "[tool.embedbench]\nmodles = ['minilm']\n")
    parts = ["pyproject.toml: tool.embedbench.modles: unknown key 'modles'", "fix: did you mean 'models'?"]
    refused(project, project.run(), parts)


def test_a_definition_in_pyproject_is_named_where_it_stands(project: Project) -> None:
    project.write("pyproject.toml", "[tool.embedbench.define.models.mine]\npath = 'nowhere'\n")
    refused(project, project.run(), ["pyproject.toml: *define.models.mine.path: no such folder", "fix:"])


@pytest.mark.parametrize(
    ("marker", "parts"),
    [
        ("model=['minilm']", ["test_it.py::test_it: unknown argument 'model' of the marker", "did you mean 'models'?"]),
        ("models='minilm'", ["test_it.py::test_it: models: 'minilm' is not a list", "fix: write models=['minilm']"]),
        ("['minilm']", ["test_it.py::test_it: the marker takes keywords only", "fix: write models="]),
        ("models=['minlm']", ["test_it.py::test_it: unknown model 'minlm'; did you mean 'minilm'?", "fix:"]),
        ("datasets=['fatcs']", ["test_it.py::test_it: unknown dataset 'fatcs'", "fix:"]),
    ],
)
def test_markers(project: Project, marker: str, parts: list[str]) -> None:
    code = f"import pytest\n@pytest.mark.embedbench({marker})\ndef test_it(embed_evaluation):\n    pass\n"
    project.write("test_it.py", code)
    refused(project, project.run(), parts)


def test_a_marker_on_a_test_without_fixtures_is_checked_too(project: Project) -> None:
    code = "import pytest\n@pytest.mark.embedbench(modls=['minilm'])\ndef test_it():\n    pass\n"
    project.write("test_it.py", code)
    refused(project, project.run(), ["test_it.py::test_it: unknown argument 'modls'", "did you mean 'models'?"])


WATCH = """
    import atexit, pathlib, sys

    HEAVY = {"torch", "transformers", "sentence_transformers", "numpy"}
    atexit.register(lambda: pathlib.Path("heavy.txt").write_text(",".join(HEAVY & set(sys.modules))))
"""


@pytest.mark.parametrize("arguments", [["--embed-model=minilmm"], []], ids=["option", "suite"])
def test_no_model_library_is_imported_before_the_error(project: Project, arguments: list[str]) -> None:
    project.suite("ndgc@10 >= 0.3")
    project.write("conftest.py", WATCH)
    parts = ["unknown model 'minilmm'"] if arguments else ["checks[0].quality[0]: unknown metric 'ndgc'"]
    refused(project, project.spawn_anew(*arguments), parts)
    assert (project.folder / "heavy.txt").read_text() == ""


def test_collecting_imports_no_model_library(project: Project) -> None:
    project.suite("ndcg@10 >= 0.3")
    project.write("conftest.py", WATCH)
    project.write("test_it.py", "def test_it(embed_evaluation):\n    pass\n")
    result = project.spawn_anew("--collect-only", "-q")
    result.stdout.fnmatch_lines(["test_it.py::test_it?minilm-facts?"])
    assert (project.folder / "heavy.txt").read_text() == ""


@pytest.mark.parametrize("marker", [False, True], ids=["suite", "marker"])
def test_with_xdist_the_error_is_the_same(project: Project, marker: bool) -> None:
    pytest.importorskip("xdist")
    if marker:
        code = "import pytest\n@pytest.mark.embedbench(model=[])\ndef test_it(embed_model):\n    pass\n"
        project.write("test_it.py", code)
        parts = ["test_it.py::test_it: unknown argument 'model' of the marker", "did you mean 'models'?"]
    else:
        project.suite("ndgc@10 >= 0.3")
        parts = ["embedbench.toml: checks[0].quality[0]: unknown metric 'ndgc'", "fix: did you mean 'ndcg'?"]
    refused(project, project.spawn("-n", "2"), parts)
