"""Reading suites: what good ones mean, and what is said of bad ones, before anything heavy is imported."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from pytest_embedbench import catalog
from pytest_embedbench.checks.budget import BudgetCheck
from pytest_embedbench.checks.check import Check
from pytest_embedbench.checks.max_rate import MaxRateCheck
from pytest_embedbench.checks.quality import QualityCheck
from pytest_embedbench.checks.regression import RegressionCheck
from pytest_embedbench.core.measures import DEFAULT_MEASURES, Measure
from pytest_embedbench.core.thresholds import RateLimit, parse_budget, parse_quality
from pytest_embedbench.datasets.spec import BUILTIN, DatasetSpec
from pytest_embedbench.errors import ConfigurationError
from pytest_embedbench.load.shape import LoadShape
from pytest_embedbench.models.spec import ModelSpec
from pytest_embedbench.suite.model_names import Overrides
from pytest_embedbench.suite.plan import Suite, _completed, read_suite

HEADER = "query-id\tcorpus-id\tscore\n"
NDCG10 = Measure("ndcg", 10)
NAME = "embedbench.toml"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a folder with models and datasets to name: everything that suites below refer to."""
    for model in ("encoder", "other/encoder", "models/small", "bare"):
        (tmp_path / model).mkdir(parents=True)
        if model != "bare":
            (tmp_path / model / "modules.json").write_text("[]")
    datasets = {
        "tickets": ["test"],
        "laws": ["dev", "train"],
        "data/NFCorpus": ["test"],
        "odd@home": ["test", "dev"],
    }
    for dataset, splits in datasets.items():
        folder = tmp_path / dataset
        (folder / "qrels").mkdir(parents=True)
        (folder / "corpus.jsonl").write_text('{"_id": "d1", "text": "x"}\n')
        (folder / "queries.jsonl").write_text('{"_id": "q1", "text": "x"}\n')
        for split in splits:
            (folder / "qrels" / f"{split}.tsv").write_text(f"{HEADER}q1\td1\t1\n")
    (tmp_path / "empty").mkdir()
    (tmp_path / "elsewhere").mkdir()
    return tmp_path


def write(folder: Path, text: str, name: str = NAME) -> Path:
    path = folder / name
    path.write_text(dedent(text), encoding="utf-8")
    return path


def shown(check: Check) -> str:
    """A check in one line: ``ndcg@10 >= 0.3``, ``[b1 c16 on L4] query p50 <= 9 ms``, alone where only reported."""
    if isinstance(check, QualityCheck):
        return str(check.limit or check.measure)
    assert isinstance(check, BudgetCheck)
    on = f" on {check.hardware}" if check.hardware else ""
    return f"[{check.shape}{on}] {check.limit or ''}".rstrip()


def pairs(suite: Suite) -> dict[str, list[str]]:
    """``model x dataset`` -> its checks."""
    return {f"{pair.model.alias} x {pair.dataset.alias}": [shown(c) for c in pair.checks] for pair in suite.pairs}


# Good suites

REPORTED = ["ndcg@10"]
"""The check of a pair that no rule speaks of: one value, without a limit."""

GOOD: dict[str, tuple[str, dict[str, list[str]]]] = {
    "an empty file tests no model": ("", {}),
    "models alone run on the built-in dataset": (
        '[embedbench]\nmodels = ["minilm"]',
        {"minilm x builtin": REPORTED},
    ),
    "the matrix is in the order given": (
        """
        [embedbench]
        models = ["bm25", "minilm"]
        datasets = ["tickets", "builtin"]
        """,
        {
            "bm25 x tickets": REPORTED,
            "bm25 x builtin": REPORTED,
            "minilm x tickets": REPORTED,
            "minilm x builtin": REPORTED,
        },
    ),
    "other spellings of a catalogue name": (
        """
        [embedbench]
        models = ["MiniLM", "sentence-transformers/all-minilm-l6-v2", "all-MiniLM-L6-v2"]
        """,
        {"minilm x builtin": REPORTED},
    ),
    "names given twice count once": (
        '[embedbench]\nmodels = ["bm25", "bm25"]\ndatasets = ["tickets", "./tickets", "builtin", "builtin"]',
        {"bm25 x tickets": REPORTED, "bm25 x builtin": REPORTED},
    ),
    "folders, Hub ids and splits": (
        '[embedbench]\nmodels = ["./encoder", "org/model-7B.v1"]\ndatasets = ["laws@dev", "laws@train"]',
        {
            "encoder x laws@dev": REPORTED,
            "encoder x laws@train": REPORTED,
            "org/model-7B.v1 x laws@dev": REPORTED,
            "org/model-7B.v1 x laws@train": REPORTED,
        },
    ),
    "definitions are what is tested where no list says otherwise": (
        """
        [models.mine]
        path = "encoder"
        [models.hub]
        hub = "org/model"
        [datasets.support]
        path = "tickets"
        """,
        {"mine x support": REPORTED, "hub x support": REPORTED},
    ),
    "a list chooses among definitions, also at a split": (
        """
        [embedbench]
        models = ["mine"]
        datasets = ["law@train", "law"]
        [models.mine]
        path = "encoder"
        [models.unused]
        hub = "org/model"
        [datasets.law]
        path = "laws"
        split = "dev"
        """,
        {"mine x law@train": REPORTED, "mine x law": REPORTED},
    ),
    "checks by name and glob, whatever the case": (
        """
        [embedbench]
        models = ["minilm", "org/tiny-en", "bm25"]
        datasets = ["tickets", "data/NFCorpus"]
        [[checks]]
        dataset = "nfcorpus"
        quality = ["nDCG@10 >= 0.3"]
        [[checks]]
        model = ["org/*", "MINI??"]
        quality = ["R@100 > 0.5"]
        [[checks]]
        model = "sentence-transformers/all-MiniLM-L6-v2"
        dataset = ["t*"]
        quality = ["mrr@10 >= 0.1", "p@1 >= 0.2"]
        """,
        {
            "minilm x tickets": ["recall@100 > 0.5", "mrr@10 >= 0.1", "precision@1 >= 0.2"],
            "minilm x NFCorpus": ["ndcg@10 >= 0.3", "recall@100 > 0.5"],
            "org/tiny-en x tickets": ["recall@100 > 0.5"],
            "org/tiny-en x NFCorpus": ["ndcg@10 >= 0.3", "recall@100 > 0.5"],
            "bm25 x tickets": REPORTED,
            "bm25 x NFCorpus": ["ndcg@10 >= 0.3"],
        },
    ),
    "budgets bind a profile on a hardware": (
        """
        [embedbench]
        models = ["minilm"]
        profiles = ["b32-c4", "B1 C1"]
        [[checks]]
        profile = "b1 c16"
        hardware = "L4"
        budget = ["query p50 <= 160 ms", "corpus throughput >= 5_000 tok/s"]
        [[checks]]
        profile = "b1 c1"
        budget = ["memory <= 2 GB"]
        quality = ["ndcg@10 >= 0.3"]
        """,
        {
            "minilm x builtin": [
                "ndcg@10 >= 0.3",
                "[b1 c1] memory <= 2 GB",
                "[b1 c16 on L4] query p50 <= 160 ms",
                "[b1 c16 on L4] corpus throughput >= 5000 tok/s",
                "[b32 c4]",
            ]
        },
    ),
    "a max rate has a load of its own beside the profile": (
        """
        [embedbench]
        models = ["minilm"]
        profiles = ["b1 c16"]
        [[checks]]
        profile = "b1 c16"
        budget = ["max rate >= 50/s at p99 <= 0.5 s"]
        """,
        {
            "minilm x builtin": [
                "ndcg@10",
                "[b1 c16] query max rate >= 50 /s at p99 <= 0.5 s",
                "[b1 c16]",
            ]
        },
    ),
    "a rate is a profile as well, and never that of as many requests in flight": (
        """
        [embedbench]
        models = ["minilm"]
        profiles = ["b1-r50.0", "b1 c50", "b1 r0.5"]
        [[checks]]
        profile = "b1 r50"
        hardware = "L4"
        budget = ["query p99 <= 160 ms", "memory <= 2 GB", "max rate >= 50/s at p99 <= 0.5 s"]
        """,
        {
            "minilm x builtin": [
                "ndcg@10",
                "[b1 c50]",
                "[b1 r0.5]",
                "[b1 r50 on L4] query p99 <= 160 ms",
                "[b1 r50 on L4] memory <= 2 GB",
                "[b1 r50 on L4] query max rate >= 50 /s at p99 <= 0.5 s",
            ]
        },
    ),
    "a profile without a budget is reported": (
        '[embedbench]\nmodels = ["minilm"]\n[[checks]]\nprofile = "b8 c2"',
        {"minilm x builtin": ["ndcg@10", "[b8 c2]"]},
    ),
    "metrics are reported beside those with a limit": (
        """
        [embedbench]
        models = ["minilm"]
        metrics = ["map@100", "ndcg@10"]
        [[checks]]
        quality = ["ndcg@10 >= 0.3"]
        """,
        {"minilm x builtin": ["ndcg@10 >= 0.3", "map@100"]},
    ),
    "a check given twice counts once, two limits of one measure are two": (
        """
        [embedbench]
        models = ["minilm"]
        [[checks]]
        quality = ["ndcg@10 >= 0.3", "ndcg@10 <= 0.9"]
        [[checks]]
        model = "minilm"
        quality = ["nDCG@10>=.30"]
        """,
        {"minilm x builtin": ["ndcg@10 >= 0.3", "ndcg@10 <= 0.9"]},
    ),
}


@pytest.mark.parametrize(("text", "expected"), GOOD.values(), ids=GOOD)
def test_good_suites(project: Path, text: str, expected: dict[str, list[str]]) -> None:
    assert pairs(read_suite(write(project, text))) == expected


def test_pyproject_says_the_same_in_its_own_table(project: Path) -> None:
    toml = """
        [embedbench]
        models = ["mine", "bm25"]
        datasets = ["law", "tickets"]
        metrics = ["map@10"]
        profiles = ["b1 c1"]
        device = "cpu"
        dtype = "bf16"
        batch_tokens = 512
        [[checks]]
        model = "m*"
        quality = ["ndcg@10 >= 0.3"]
        [models.mine]
        path = "encoder"
        query_prompt = "query: "
        [datasets.law]
        path = "laws"
        split = "dev"
        """
    pyproject = """
        [project]
        name = "anything"
        [tool.other]
        models = 3
        [tool.embedbench]
        models = ["mine", "bm25"]
        datasets = ["law", "tickets"]
        metrics = ["map@10"]
        profiles = ["b1 c1"]
        device = "cpu"
        dtype = "bf16"
        batch_tokens = 512
        [[tool.embedbench.checks]]
        model = "m*"
        quality = ["ndcg@10 >= 0.3"]
        [tool.embedbench.define.models.mine]
        path = "encoder"
        query_prompt = "query: "
        [tool.embedbench.define.datasets.law]
        path = "laws"
        split = "dev"
        """
    one = read_suite(write(project, toml))
    other = read_suite(write(project, pyproject, "pyproject.toml"))
    assert one.pairs == other.pairs
    assert (one.settings, one.measures) == (other.settings, other.measures)
    assert pairs(one)["mine x law"] == ["ndcg@10 >= 0.3", "map@10", "[b1 c1]"]
    assert pairs(one)["bm25 x law"] == ["map@10", "[b1 c1]"]
    assert (one.settings.device, one.settings.dtype, one.settings.batch_tokens) == ("cpu", "bf16", 512)


def test_pyproject_without_a_table_is_an_empty_suite(project: Path) -> None:
    assert read_suite(write(project, '[project]\nname = "x"', "pyproject.toml")).pairs == ()


def test_checks_are_values(project: Path) -> None:
    text = """
        [embedbench]
        models = ["minilm"]
        [[checks]]
        profile = "b1 c16"
        hardware = "L4"
        quality = ["ndcg@10 >= 0.3"]
        budget = ["query p50 <= 2 s"]
        """
    (pair,) = read_suite(write(project, text)).pairs
    assert list(pair.checks) == [
        QualityCheck(measure=NDCG10, limit=parse_quality("ndcg@10 >= 0.3")),
        BudgetCheck(shape=LoadShape(1, 16), limit=parse_budget("query p50 <= 2 s"), hardware="L4"),
    ]


def test_checks_of_any_other_kind_are_kept() -> None:
    check = RegressionCheck(measure=Measure("ndcg", 10), max_drop=0.005, confidence=0.95)
    assert check in _completed([check], [], [])


def test_max_rates_under_the_same_latency_are_one_search() -> None:
    def search(budget: str, shape: LoadShape) -> str:
        limit = parse_budget(budget)
        assert isinstance(limit, RateLimit)
        return str(MaxRateCheck(shape=shape, limit=limit).search)

    assert search("max rate >= 50 /s at p99 <= 0.5 s", LoadShape(1, 16)) == "b1 query at p99 <= 500 ms"
    assert search("query max rate >= 80 /s at p99 <= 500 ms", LoadShape(1, 4)) == "b1 query at p99 <= 500 ms"
    assert search("corpus max rate >= 50 /s at p99 <= 500 ms", LoadShape(8, 4)) == "b8 corpus at p99 <= 500 ms"


def test_only_a_max_rate_needs_a_search(project: Path) -> None:
    text = """
        [embedbench]
        models = ["minilm"]
        profiles = ["b1 c16"]
        [[checks]]
        profile = "b1 c4"
        budget = ["query p99 <= 500 ms", "query max rate >= 50 /s at p99 <= 500 ms"]
        """
    (pair,) = read_suite(write(project, text)).pairs
    budgets = [check for check in pair.checks if isinstance(check, BudgetCheck)]
    assert [shown(check) for check in budgets if isinstance(check, MaxRateCheck)] == [
        "[b1 c4] query max rate >= 50 /s at p99 <= 500 ms"
    ]
    assert len(budgets) == 3


def test_what_is_measured_is_the_default_and_what_is_asked_for(project: Path) -> None:
    text = """
        [embedbench]
        models = ["bm25"]
        metrics = ["map@7"]
        [[checks]]
        quality = ["ndcg@8 >= 0.3", "ndcg@10 >= 0.3"]
        """
    measures = read_suite(write(project, text)).measures
    assert measures == (*DEFAULT_MEASURES, Measure("map", 7), Measure("ndcg", 8))


# Where things lie


def test_paths_are_relative_to_the_suite_and_not_to_the_current_folder(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project / "elsewhere")
    text = """
        [embedbench]
        models = ["mine", "../models/small"]
        datasets = ["support", "../data/NFCorpus"]
        [models.mine]
        path = "../encoder"
        [datasets.support]
        path = "../tickets"
        """
    suite = read_suite(write(project / "empty", text))
    assert {pair.model.alias: pair.model.spec.path for pair in suite.pairs} == {
        "mine": str(project / "encoder"),
        "small": str(project / "models/small"),
    }
    assert {pair.dataset.alias: pair.dataset.spec.path for pair in suite.pairs} == {
        "support": str(project / "tickets"),
        "NFCorpus": str(project / "data/NFCorpus"),
    }


@pytest.mark.skipif(sys.platform == "win32", reason="expanduser reads HOME only elsewhere")
def test_home_is_expanded(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(project))
    text = """
        [embedbench]
        models = ["mine", "~/models/small"]
        datasets = ["support", "~/data/NFCorpus"]
        [models.mine]
        path = "~/encoder"
        [datasets.support]
        path = "~/tickets"
        """
    suite = read_suite(write(project / "elsewhere", text))
    assert [pair.model.spec.path for pair in suite.pairs[::2]] == [
        str(project / "encoder"),
        str(project / "models/small"),
    ]
    assert [pair.dataset.spec.path for pair in suite.pairs[:2]] == [
        str(project / "tickets"),
        str(project / "data/NFCorpus"),
    ]


def test_a_folder_of_a_known_name_gets_the_known_facts(project: Path) -> None:
    suite = read_suite(write(project, '[embedbench]\nmodels = ["bm25"]\ndatasets = ["data/NFCorpus", "tickets"]'))
    known, unknown = (pair.dataset.spec for pair in suite.pairs)
    assert known.facts() == catalog.datasets()["NFCorpus"].facts()
    assert unknown == DatasetSpec(path=str(project / "tickets"))


@pytest.mark.parametrize(
    ("name", "alias", "split"), [("odd@home", "odd@home", ""), ("odd@home@dev", "odd@home@dev", "dev")]
)
def test_an_at_sign_in_a_folder_name(project: Path, name: str, alias: str, split: str) -> None:
    (pair,) = read_suite(write(project, f'[embedbench]\nmodels = ["bm25"]\ndatasets = ["{name}"]')).pairs
    assert (pair.dataset.alias, pair.dataset.spec.split) == (alias, split)
    assert pair.dataset.spec.path == str(project / "odd@home")


def test_definitions_win_over_the_catalogue(project: Path) -> None:
    text = """
        [embedbench]
        models = ["minilm"]
        datasets = ["builtin"]
        [models.minilm]
        path = "encoder"
        [datasets.builtin]
        path = "tickets"
        """
    (pair,) = read_suite(write(project, text)).pairs
    assert (pair.model.spec.path, pair.dataset.spec.path) == (
        str(project / "encoder"),
        str(project / "tickets"),
    )


# The command line


def override(
    folder: Path,
    *,
    models: tuple[str, ...] = (),
    datasets: tuple[str, ...] = (),
    profiles: tuple[str, ...] = (),
) -> Overrides:
    return Overrides(folder=folder, models=models, datasets=datasets, profiles=profiles)


BASE = """
    [embedbench]
    models = ["minilm"]
    datasets = ["builtin", "tickets"]
    profiles = ["b1 c1"]
    [[checks]]
    model = "minilm"
    quality = ["ndcg@10 >= 0.3"]
    [[checks]]
    dataset = "t*"
    quality = ["map@10 >= 0.1"]
    """


@pytest.mark.parametrize(
    ("choices", "expected"),
    [
        ({}, {"minilm x builtin": ["ndcg@10 >= 0.3", "[b1 c1]"], "minilm x tickets": ["ndcg@10 >= 0.3", "map@10 >= 0.1", "[b1 c1]"]}),
        ({"models": ("bm25",)}, {"bm25 x builtin": ["ndcg@10", "[b1 c1]"], "bm25 x tickets": ["map@10 >= 0.1", "[b1 c1]"]}),
        ({"models": ("bm25", "encoder"), "datasets": ("builtin",)}, {"bm25 x builtin": ["ndcg@10", "[b1 c1]"], "encoder x builtin": ["ndcg@10", "[b1 c1]"]}),
        ({"datasets": ("tickets",)}, {"minilm x tickets": ["ndcg@10 >= 0.3", "map@10 >= 0.1", "[b1 c1]"]}),
        ({"profiles": ("b2 c2", "b4 c4"), "datasets": ("builtin",)}, {"minilm x builtin": ["ndcg@10 >= 0.3", "[b2 c2]", "[b4 c4]"]}),
        ({"models": ("bm25", "bm25"), "datasets": ("tickets", "./tickets")}, {"bm25 x tickets": ["map@10 >= 0.1", "[b1 c1]"]}),
    ],
    ids=str,
)  # fmt: skip
def test_the_command_line_wins_and_the_checks_stay(
    project: Path, choices: dict[str, tuple[str, ...]], expected: dict[str, list[str]]
) -> None:
    assert pairs(read_suite(write(project, BASE), override(project, **choices))) == expected


def test_paths_on_the_command_line_are_relative_to_its_folder(project: Path) -> None:
    suite = read_suite(
        write(project / "elsewhere", BASE), override(project / "models", models=("small",), datasets=("builtin",))
    )
    assert suite.pairs[0].model.spec.path == str(project / "models/small")


def test_a_check_may_name_what_the_command_line_replaced(project: Path) -> None:
    text = """
        [embedbench]
        models = ["org/model"]
        [[checks]]
        model = "org/model"
        quality = ["ndcg@10 >= 0.3"]
        """
    assert pairs(read_suite(write(project, text), override(project, models=("bm25",)))) == {"bm25 x builtin": REPORTED}


def test_plugins_add_names(project: Path) -> None:
    overrides = Overrides(
        folder=project,
        models=("mine",),
        datasets=("support",),
        known_models={"mine": ModelSpec(hub="org/model")},
        known_datasets={"support": DatasetSpec(path="tickets"), "other": DatasetSpec(path=BUILTIN)},
    )
    suite = read_suite(write(project, ""), overrides)
    assert pairs(suite) == {"mine x support": REPORTED}
    assert suite.pairs[0].dataset.spec.path == str(project / "tickets")


# Bad suites: text, then where, problem and fix of the error; {at} is the project's folder

MODEL_FIX = "use an alias, a Hub id (org/model), a folder, http://HOST/v1#MODEL, package.module:function, or define it in [models.NAME]"
DATASET_FIX = (
    "use a known name, a BEIR folder, a .zip, .csv, .tsv, .jsonl or .parquet file, a Hub id (org/name), irds:ID, "
    "or define it in [datasets.NAME]"
)
SPLIT_FIX = "choose one with split = ... or --embed-dataset=NAME@SPLIT"
SERVED = """
[models.served]
kind = "endpoint"
url = "http://127.0.0.1:9/v1"
model = "org/not-in-the-cache"
[[checks]]
profile = "b1 c1"
"""
SHAPE_FIX = "write texts a request and requests in flight, e.g. 'b1 c16', or texts a request and requests a second, e.g. 'b1 r50'"
CHECK_KEYS = "known are budget, dataset, hardware, model, profile, quality"

BAD: dict[str, tuple[str, str, str, str]] = {
    "unknown table": ("[modles.x]\npath = 'encoder'", f"{NAME}: modles", "unknown key 'modles'", "did you mean 'models'?"),
    "unknown setting": ("[embedbench]\nmodel = ['minilm']", f"{NAME}: embedbench.model", "unknown key 'model'", "did you mean 'models'?"),
    "unknown key of a check": ("[[checks]]\nzzz = 1", f"{NAME}: checks[0].zzz", "unknown key 'zzz'", CHECK_KEYS),
    "unknown key of a later check": (
        "[[checks]]\nquality = ['ndcg@10 > 0']\n[[checks]]\nqualty = []",
        f"{NAME}: checks[1].qualty", "unknown key 'qualty'", "did you mean 'quality'?",
    ),
    "unknown key of a model": ("[models.m]\npaht = 'x'", f"{NAME}: models.m.paht", "unknown key 'paht'", "did you mean 'path'?"),
    "unknown key of a dataset": ("[datasets.d]\nlang = 'x'", f"{NAME}: datasets.d.lang", "unknown key 'lang'", "did you mean 'language'?"),
    "a string for a list": ("[embedbench]\nmodels = 'minilm'", f"{NAME}: embedbench.models", "a text, where a list belongs", 'write models = ["minilm"]'),
    "a number in a list": ("[embedbench]\nmodels = ['bm25', 3]", f"{NAME}: embedbench.models[1]", "Expected str, got int", 'write a text, in quotes: "..."'),
    "a number for a definition": ("[models]\nm = 3", f"{NAME}: models.m", "a value, where a table belongs", "write [models.NAME], with a name of your own, and m = 3 below it"),
    "a wrong type in a definition": ("[models.m]\npath = 3", f"{NAME}: models.m.path", "Expected str, got int", 'write a text, in quotes: "..."'),
    "a table for a list of tables": ("[checks]\nquality = []", f"{NAME}: checks", "one table, where a list of tables belongs", "write [[checks]], with double brackets"),
    "an unknown dtype": ("[embedbench]\ndtype = 'fp31'", f"{NAME}: embedbench.dtype", "Invalid enum value 'fp31'", "give one of fp32, bf16, fp16, auto"),
    "an unknown kind": ("[models.m]\nkind = 'onnx'", f"{NAME}: models.m.kind", "Invalid enum value 'onnx'", "give one of sentence-transformers, bm25, endpoint, callable"),
    "a batch of no tokens": ("[embedbench]\nbatch_tokens = 0", f"{NAME}: embedbench.batch_tokens", "Expected int >= 1", "give int >= 1"),
    "unknown metric in a check": (
        "[[checks]]\nquality = ['ndcg@10 > 0', 'ndgc@10 >= 0.3']",
        f"{NAME}: checks[0].quality[1]", "unknown metric 'ndgc'", "did you mean 'ndcg'?",
    ),
    "operator": ("[[checks]]\nquality = ['ndcg@10 => 0.3']", f"{NAME}: checks[0].quality[0]", "operator '=>' in 'ndcg@10 => 0.3'", "write '>='"),
    "percentage": (
        "[[checks]]\nquality = ['ndcg@10 >= 31%']",
        f"{NAME}: checks[0].quality[0]",
        "scores lie between 0 and 1 and have no unit, not 31% in 'ndcg@10 >= 31%'", "write ndcg@10 >= 0.31",
    ),
    "metric without cut-off": ("[embedbench]\nmetrics = ['ndcg']", f"{NAME}: embedbench.metrics[0]", "metric 'ndcg' has no cut-off", "write ndcg@10"),
    "budget without unit": (
        "[[checks]]\nprofile = 'b1 c1'\nbudget = ['query p50 <= 9']",
        f"{NAME}: checks[0].budget[0]", "no unit in 'query p50 <= 9'", "query p50 is given in ms or s",
    ),
    "tokens that a server counts": (
        f"{SERVED}budget = ['query p50 <= 9 s', 'corpus throughput >= 9 tok/s']",
        f"{NAME}: checks[0].budget[1]",
        "tokens of 'served' are a server's count or an estimate, which tok/s cannot be judged by",
        "give tokenizer, a folder or Hub id with its tokenizer.json, in [models.X]; or limit texts/s",
    ),
    "a server's memory": (
        f"{SERVED}budget = ['memory <= 9 GB']",
        f"{NAME}: checks[0].budget[0]",
        "memory of 'served' is its server's, which cannot be seen from here",
        "leave it out for endpoints: name other models, with model = ...",
    ),
    "unknown quantity": (
        "[[checks]]\nprofile = 'b1 c1'\nbudget = ['corpus thruput > 9 tok/s']",
        f"{NAME}: checks[0].budget[0]", "unknown quantity 'corpus thruput' in 'corpus thruput > 9 tok/s'", "did you mean 'corpus throughput'?",
    ),
    "profile of a check": (
        "[[checks]]\nprofile = 'c16'",
        f"{NAME}: checks[0].profile", "'c16' is not a load profile", SHAPE_FIX,
    ),
    "profile of the suite": (
        "[embedbench]\nprofiles = ['b1 c1', 'b0 c1']",
        f"{NAME}: embedbench.profiles[1]", "'b0 c1' is not a load profile", SHAPE_FIX,
    ),
    "a max rate without a latency": (
        "[[checks]]\nprofile = 'b1 c1'\nbudget = ['max rate >= 50 /s']",
        f"{NAME}: checks[0].budget[0]", "a max rate without a latency in 'max rate >= 50 /s'", "write it as 'query max rate >= 50 /s at p99 <= 500 ms'",
    ),
    "a throughput at a rate": (
        "[[checks]]\nprofile = 'b1 r50'\nbudget = ['query p50 <= 9 ms', 'corpus throughput >= 50 texts/s']",
        f"{NAME}: checks[0].budget[1]", "throughput under 'b1 r50' is the rate that is sent, not what the model can do",
        "add a profile such as 'b1 c16' for it, or write 'max rate >= 50 /s at p99 <= 500 ms'",
    ),
    "budget without profile": ("[[checks]]\nbudget = ['memory < 1 GB']", f"{NAME}: checks[0].budget", "needs a load profile", "add profile = 'b1 c16'"),
    "hardware without profile": (
        "[[checks]]\nhardware = 'L4'\nquality = ['ndcg@10 > 0']",
        f"{NAME}: checks[0].hardware", "needs a load profile", "add profile = 'b1 c16'",
    ),
    "a check of nothing": ("[[checks]]\nmodel = 'minilm'", f"{NAME}: checks[0]", "has nothing to check", "add quality = ['ndcg@10 >= 0.3'] or a profile"),
    "checks without a model": (
        "[[checks]]\nquality = ['ndcg@10 > 0']",
        f"{NAME}: checks", "no model to check", 'write models = ["minilm"] in [embedbench]',
    ),
    "a length cap of nothing": (
        "[models.mine]\nhub = 'org/model'\nmax_seq_length = 0",
        f"{NAME}: models.mine.max_seq_length", "Expected int >= 1", "give int >= 1",
    ),
    "a check of an unknown model": (
        "[[checks]]\nmodel = ['bm25', 'minlm']\nquality = ['ndcg@10 > 0']",
        f"{NAME}: checks[0].model", "no model is called 'minlm'", "did you mean 'minilm'?",
    ),
    "a check of an unknown dataset": (
        "[[checks]]\ndataset = 'NFCorpse'\nquality = ['ndcg@10 > 0']",
        f"{NAME}: checks[0].dataset", "no dataset is called 'NFCorpse'", "did you mean 'NFCorpus'?",
    ),
    "a check that names a folder rather than its alias": (
        "[embedbench]\nmodels = ['bm25']\ndatasets = ['./tickets']\n[[checks]]\ndataset = './tickets'\nquality = ['ndcg@10 > 0']",
        f"{NAME}: checks[0].dataset", "no dataset is called './tickets'", "did you mean 'tickets'?",
    ),
    "unknown model": ("[embedbench]\nmodels = ['bm25', 'minlm']", f"{NAME}: embedbench.models[1]", "unknown model 'minlm'; did you mean 'minilm'?", MODEL_FIX),
    "unknown model, a definition is close": (
        "[embedbench]\nmodels = ['my-modle']\n[models.my-model]\npath = 'encoder'",
        f"{NAME}: embedbench.models[0]", "unknown model 'my-modle'; did you mean 'my-model'?", MODEL_FIX,
    ),
    "a relative folder that is not there": ("[embedbench]\nmodels = ['./gone']", f"{NAME}: embedbench.models[0]", "no such folder: ./gone", "give a saved model's folder"),
    "an endpoint without a model": (
        "[embedbench]\nmodels = ['http://localhost:8080/v1']",
        f"{NAME}: embedbench.models[0]", "http://localhost:8080/v1: no model is named",
        "write http://localhost:8080/v1#MODEL, with the model's name at that server (GET /models lists them)",
    ),
    "a folder without a model": (
        "[embedbench]\nmodels = ['bare']",
        f"{NAME}: embedbench.models[0]", "{at}/bare has neither modules.json nor config.json", "give the folder of a saved sentence-transformers model",
    ),
    "a defined folder that is not there": (
        "[models.m]\npath = 'gone'", f"{NAME}: models.m.path", "no such folder: {at}/gone", "give a saved model's folder",
    ),
    "a defined folder without a model": (
        "[models.m]\npath = 'bare'",
        f"{NAME}: models.m", "{at}/bare has neither modules.json nor config.json", "give the folder of a saved sentence-transformers model",
    ),
    "a model from nowhere": ("[models.m]\nquery_prompt = 'q: '", f"{NAME}: models.m", "does not say where the model is", "give path or hub"),
    "a dataset from nowhere": ("[datasets.d]\nlanguage = 'en'", f"{NAME}: datasets.d", "does not say where the dataset is", "give path, a BEIR folder; or hub_dataset, ir_datasets"),
    "a defined dataset that is not there": (
        "[datasets.d]\npath = 'gone'",
        f"{NAME}: datasets.d", "{at}/gone/corpus.jsonl: no such file", "a BEIR folder holds corpus.jsonl, queries.jsonl and qrels/<split>.tsv",
    ),
    "a folder without a dataset": (
        "[embedbench]\nmodels = ['bm25']\ndatasets = ['empty']",
        f"{NAME}: embedbench.datasets[0]", "{at}/empty/corpus.jsonl: no such file", "a BEIR folder holds corpus.jsonl, queries.jsonl and qrels/<split>.tsv",
    ),
    "unknown dataset": ("[embedbench]\ndatasets = ['bultin']", f"{NAME}: embedbench.datasets[0]", "unknown dataset 'bultin'; did you mean 'builtin'?", DATASET_FIX),
    "a known dataset that is not here": (
        "[embedbench]\ndatasets = ['norquad']",
        f"{NAME}: embedbench.datasets[0]", "dataset 'NorQuAD' is known, but its files are not here",
        "give its folder: --embed-dataset=PATH, or [datasets.NorQuAD] path = ...",
    ),
    "several splits": (
        "[embedbench]\ndatasets = ['laws']", f"{NAME}: embedbench.datasets[0]", "{at}/laws/qrels: several splits and no 'test': dev, train", SPLIT_FIX,
    ),
    "no such split": (
        "[embedbench]\ndatasets = ['tickets@dev']", f"{NAME}: embedbench.datasets[0]", "{at}/tickets/qrels: no split 'dev'; there are: test", SPLIT_FIX,
    ),
    "no such split in a definition": (
        "[datasets.d]\npath = 'laws'\nsplit = 'test'", f"{NAME}: datasets.d", "{at}/laws/qrels: no split 'test'; there are: dev, train", SPLIT_FIX,
    ),
    "two models of one name": (
        "[embedbench]\nmodels = ['encoder', 'other/encoder']",
        NAME, "two different models are called 'encoder': {at}/encoder and {at}/other/encoder",
        'define one of them under another name in the suite, e.g. encoder-2 with path = "{at}/other/encoder"',
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "where", "problem", "fix"), BAD.values(), ids=BAD)
def test_bad_suites(project: Path, text: str, where: str, problem: str, fix: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_suite(write(project, text))
    error = caught.value
    assert (error.where, error.problem, error.fix) == (
        where,
        problem.replace("{at}", str(project)),
        fix.replace("{at}", str(project)),
    )
    assert str(error) == f"{error.where}: {error.problem}\n  fix: {error.fix}"


def test_an_unknown_split_of_the_builtin_dataset(project: Path) -> None:
    with pytest.raises(ConfigurationError, match="no split 'dev'; there are: test"):
        read_suite(write(project, "[embedbench]\ndatasets = ['builtin@dev']"))


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("[tool.embedbench]\nmodel = []", "tool.embedbench.model"),
        ("[tool.embedbench]\nmodels = 3", "tool.embedbench.models"),
        ("[tool.embedbench]\nmodels = ['zzz']", "tool.embedbench.models[0]"),
        ("[tool.embedbench]\ndatasets = ['zzz']", "tool.embedbench.datasets[0]"),
        ("[tool.embedbench]\nmetrics = ['zzz']", "tool.embedbench.metrics[0]"),
        ("[tool.embedbench]\nprofiles = ['zzz']", "tool.embedbench.profiles[0]"),
        ("[[tool.embedbench.checks]]\nquality = ['zzz']", "tool.embedbench.checks[0].quality[0]"),
        ("[tool.embedbench.define.models.m]\nkind = 'zzz'", "tool.embedbench.define.models.m.kind"),
        ("[tool.embedbench.define.models.m]\npath = 'zzz'", "tool.embedbench.define.models.m.path"),
        ("[tool.embedbench.define.datasets.d]\ndomain = 'zzz'", "tool.embedbench.define.datasets.d"),
        ("[tool]\nembedbench = 3", "tool.embedbench"),
    ],
)
def test_errors_in_pyproject_name_the_key_as_it_stands_there(project: Path, text: str, where: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_suite(write(project, text, "pyproject.toml"))
    assert caught.value.where == f"pyproject.toml: {where}"
    assert caught.value.fix


@pytest.mark.parametrize(
    ("choices", "where", "problem"),
    [
        ({"models": ("minlm",)}, "--embed-model", "unknown model 'minlm'; did you mean 'minilm'?"),
        ({"datasets": ("bultin",)}, "--embed-dataset", "unknown dataset 'bultin'; did you mean 'builtin'?"),
        ({"profiles": ("b1 c1", "fast")}, "--embed-profile[1]", "'fast' is not a load profile"),
        ({"profiles": ("b1 r0",)}, "--embed-profile[0]", "'b1 r0' is not a load profile"),
    ],
    ids=str,
)
def test_errors_on_the_command_line_name_the_option(
    project: Path, choices: dict[str, tuple[str, ...]], where: str, problem: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_suite(write(project, BASE), override(project, **choices))
    assert (caught.value.where, caught.value.problem) == (where, problem)
    assert caught.value.fix


@pytest.mark.parametrize("name", ["pairs.json", "files/pairs.json", "pairs"])
def test_a_file_that_is_no_table_is_no_unknown_name(project: Path, name: str) -> None:
    (project / "files").mkdir()
    for path in (project / name, project / "files" / "pairs.json"):
        path.write_text("[]", encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        read_suite(write(project, BASE), override(project, datasets=(name,)))
    assert caught.value.where == "--embed-dataset"
    assert caught.value.problem.startswith(f"{project / name}: ")


@pytest.mark.parametrize("kind", ["models", "datasets"])
def test_two_folders_of_one_name_on_the_command_line(project: Path, kind: str) -> None:
    name = {"models": "encoder", "datasets": "tickets"}[kind]
    shutil.copytree(project / name, project / "second" / name)
    with pytest.raises(ConfigurationError) as caught:
        read_suite(write(project, BASE), override(project, **{kind: (name, f"second/{name}")}))
    assert caught.value.where == {"models": "--embed-model", "datasets": "--embed-dataset"}[kind]
    assert caught.value.fix.endswith(f'e.g. {name}-2 with path = "{project / "second" / name}"')


def test_a_suite_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_suite(tmp_path / NAME)
    error = caught.value
    assert (error.where, error.problem) == (str(tmp_path / NAME), "no such suite file")
    assert error.fix == "give the path of an embedbench.toml"


def test_a_suite_that_is_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_suite(tmp_path)
    error = caught.value
    assert error.where == str(tmp_path)
    assert error.problem.startswith("cannot be read: ")
    assert error.fix == "give the path of an embedbench.toml"


@pytest.mark.parametrize(
    "content", [b"[embedbench\n", b"models = [\n", b"a = 1\na = 2\n", b"x = 'caf\xe9'\n"], ids=repr
)
def test_not_toml(tmp_path: Path, content: bytes) -> None:
    (tmp_path / NAME).write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        read_suite(tmp_path / NAME)
    assert caught.value.where == str(tmp_path / NAME)
    assert caught.value.problem.startswith("not valid TOML: ")


def test_reading_a_suite_imports_nothing_heavy(project: Path) -> None:
    text = """
        [embedbench]
        models = ["minilm", "mine", "org/model"]
        datasets = ["builtin", "tickets"]
        [[checks]]
        profile = "b1 c16"
        quality = ["ndcg@10 >= 0.3"]
        [models.mine]
        path = "encoder"
        """
    code = f"""
import sys
from pathlib import Path
from pytest_embedbench.suite.plan import read_suite
assert len(read_suite(Path({str(write(project, text))!r})).pairs) == 6
heavy = {{"torch", "numpy", "scipy", "transformers", "sentence_transformers", "pytrec_eval", "huggingface_hub",
         "bm25s", "jinja2"}}
print(sorted(heavy & set(sys.modules)))
"""
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, env={**os.environ, "PYTHONPATH": str(root)}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("[]\n", "")


@pytest.mark.parametrize("more", ["hardware = 'L4'\n", "tokenizer"], ids=["for other hardware", "with a tokenizer"])
def test_tokens_of_a_server_may_be_limited_where_they_are_counted_or_the_budget_may_not_bind(
    tmp_path: Path, more: str
) -> None:
    head, profile = SERVED.split("[[checks]]")
    served = head + "tokenizer = 'org/m'\n" if more == "tokenizer" else head
    bound = more if more.startswith("hardware") else ""
    (tmp_path / NAME).write_text(f"{served}[[checks]]{profile}{bound}budget = ['corpus throughput >= 9 tok/s']\n")
    assert len(read_suite(tmp_path / NAME).pairs[0].checks) == 2


@pytest.mark.parametrize(
    "keys",
    ['model = "enc*"\ndataset = "laws*"', 'model = "bm*"', 'dataset = "la?s"', 'model = "encoder"\ndataset = "laws"'],
)
def test_checks_that_are_for_no_pair_are_an_error(project: Path, keys: str) -> None:
    text = '[embedbench]\nmodels = ["encoder"]\ndatasets = ["tickets"]\n[models.bm25-too]\nkind = "bm25"\n'
    text += '[datasets.laws]\npath = "laws"\nsplit = "dev"\n[[checks]]\nquality = ["ndcg@10 >= 0.1"]\n'
    path = write(project, text + f'[[checks]]\n{keys}\nquality = ["ndcg@10 >= 0.3"]\n')
    with pytest.raises(ConfigurationError, match="is for no model and dataset that the suite lists") as caught:
        read_suite(path, Overrides(folder=project))
    assert caught.value.where == f"{NAME}: checks[1]"
    # A run of other data or models need not meet every check.
    assert read_suite(path, Overrides(folder=project, datasets=("laws",))).pairs
