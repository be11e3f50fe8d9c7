"""The baseline file: what it looks like, where it is read from, how it is updated."""

from __future__ import annotations

import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pytest_embedbench.errors import BaselineError, ConfigurationError
from pytest_embedbench.results.baseline import (
    Baseline,
    BaselineEntry,
    Fingerprints,
    QueryRecord,
    changes,
    dump_baseline,
    parse_baseline,
    update_file,
)
from pytest_embedbench.results.baseline_source import BaselineSource


def entry(model: str = "m", dataset: str = "d", **more: Any) -> BaselineEntry:
    blank = BaselineEntry(
        model=model,
        dataset=dataset,
        name=f"org/{model}",
        measured_on="2026-01-02",
        fingerprints=Fingerprints(model="a" * 64, dataset="b" * 64),
        environment={"dtype": "fp32", "torch": "2"},
        metrics=["ndcg@10", "recall@5"],
        means={"ndcg@10": 0.5, "recall@5": 0.25},
        queries={
            "q2": QueryRecord([0.63093, 0.5], 'd"1\u2028', "d3", 2),
            "q1": QueryRecord([0.0, 0.0]),
        },
    )
    return msgspec.structs.replace(blank, **more)


def source(text: str, folder: Path) -> BaselineSource:
    return BaselineSource(text, folder, "here")


def test_the_text_is_stable_and_reads_back() -> None:
    pairs = [entry("z"), entry("m", "e"), entry("m", "d")]
    text = dump_baseline(Baseline(pairs=pairs))
    assert text == dump_baseline(Baseline(pairs=pairs[::-1]))
    back = parse_baseline(text, "here", "file")
    assert [(one.model, one.dataset) for one in back.pairs] == [("m", "d"), ("m", "e"), ("z", "d")]
    assert back.find("m", "e") == pairs[1]
    assert back.find("m", "x") is None
    assert dump_baseline(back) == text
    lines = text.split("\n")
    assert '        "q1": [[0.0,0.0],"","",0],' in lines
    assert lines.index('        "q1": [[0.0,0.0],"","",0],') + 1 == lines.index(
        f'        "q2": [[0.63093,0.5],{json.dumps("d" + chr(34) + "1" + chr(0x2028), ensure_ascii=False)},"d3",2]'
    )
    assert json.loads(text)["schema_version"] == 1
    assert dump_baseline(Baseline()) == '{\n  "schema_version": 1,\n  "pairs": [\n\n  ]\n}\n'
    assert parse_baseline(dump_baseline(Baseline()), "here", "file") == Baseline()


def test_an_update_merges_and_says_by_how_much(tmp_path: Path) -> None:
    path = tmp_path / "new" / "b.json"
    assert update_file(path, [entry("a"), entry("b")]) == [
        "a on d: new, ndcg@10 0.5000, recall@5 0.2500",
        "b on d: new, ndcg@10 0.5000, recall@5 0.2500",
    ]
    before = path.read_bytes()
    again = [entry("b", measured_on="2027-01-01")]
    assert update_file(path, again) == ["b on d: ndcg@10 0.5000 as before, recall@5 0.2500 as before",
                                        "1 other pair stays as it was"]  # fmt: skip
    assert path.read_bytes() == before, "another day alone is no change"
    other = entry(
        "b",
        metrics=["ndcg@10", "mrr@10"],
        means={"ndcg@10": 0.6, "mrr@10": 0.7},
        environment={"dtype": "bf16", "numpy": "3"},
        fingerprints=Fingerprints(model="c", dataset="e"),
    )
    assert update_file(path, [other])[0] == (
        "b on d: ndcg@10 0.5000 -> 0.6000 (+0.1000), mrr@10 0.7000 is new, recall@5 is gone, other data than before, "
        "model files, dtype fp32 -> bf16, torch 2 -> none, numpy none -> 3"
    )
    found = parse_baseline(path.read_bytes(), "here", "file")
    assert found.find("a", "d") == entry("a")
    assert found.find("b", "d") == other


def test_updates_at_once_keep_every_entry(tmp_path: Path) -> None:
    path = tmp_path / "b.json"
    names = [[f"m{process}-{number}" for number in range(10)] for process in range(4)]

    def update(models: list[str]) -> None:
        for model in models:
            update_file(path, [entry(model)])

    with ThreadPoolExecutor(4) as pool:  # each update opens the lock anew, so threads wait as processes do
        list(pool.map(update, names))
    assert [pair.model for pair in source("b.json", tmp_path).read().pairs] == sorted(
        name for some in names for name in some
    )


def test_changes_are_those_of_all_but_scores() -> None:
    assert changes(entry(), entry(means={}, queries={})) == []


def test_an_update_of_a_broken_file_or_where_none_can_be(tmp_path: Path) -> None:
    path = tmp_path / "b.json"
    path.write_text("{", "utf-8")
    with pytest.raises(ConfigurationError, match=r"b\.json is not a baseline"):
        update_file(path, [entry()])
    assert path.read_text("utf-8") == "{"
    with pytest.raises(BaselineError, match="cannot write the baseline"):
        update_file(path / "below.json", [entry()])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not a baseline: Input data was truncated"),
        ("[1, 2]", "is not a baseline: Expected `object`"),
        ("{}", "is not a baseline: Object missing required field `schema_version`"),
        ('{"schema_version": 2}', "has schema version 2; this pytest-embedbench reads 1\n  fix: upgrade"),
        ('{"schema_version": 0}', "has schema version 0; this pytest-embedbench reads 1\n  fix: restore"),
        ('{"schema_version": 1, "pairs": [{}]}', "is not a baseline: Object missing required field `model`"),
        ("\xff", "is not a baseline"),
    ],
)
def test_what_is_no_baseline(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "b.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigurationError) as error:
        source("b.json", tmp_path).read()
    assert str(error.value).startswith("here: b.json ")
    assert message in str(error.value)


def test_a_record_with_too_few_scores_is_named(tmp_path: Path) -> None:
    text = dump_baseline(Baseline(pairs=[entry()])).replace("[[0.0,0.0],", "[[0.0],")
    with pytest.raises(ConfigurationError, match=r"is damaged: m on d, query 'q1': 1 scores for 2 metrics"):
        parse_baseline(text, "here", "file")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Return a repository whose first commit has a baseline in a folder."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b.json").write_text(dump_baseline(Baseline(pairs=[entry("old")])), "utf-8")
    for arguments in (["init", "-q"], ["add", "sub"], ["commit", "-qm", "one"], ["tag", "v1"]):
        command = ["git", "-c", "user.name=n", "-c", "user.email=e@e", *arguments]
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    (tmp_path / "sub" / "b.json").write_text(dump_baseline(Baseline(pairs=[entry("new")])), "utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("text", "below", "model"),
    [
        ("sub/b.json", "", "new"),
        ("HEAD:sub/b.json", "", "old"),
        ("v1:sub/b.json", "sub", "old"),
        ("v1:./b.json", "sub", "old"),
        ("b.json", "sub", "new"),
    ],
)
def test_a_file_or_that_of_a_commit(repository: Path, text: str, below: str, model: str) -> None:
    found = source(text, repository / below)
    assert found.read().pairs[0].model == model
    assert found.in_git == (":" in text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("v2:sub/b.json", "git cannot read v2:sub/b.json: fatal: "),
        ("v1:sub/c.json", "v1 has no sub/c.json, so that there is nothing to compare with yet (fatal: "),
        ("v1:sub", "git cannot read v1:sub: fatal: "),
        ("--output=x:sub/b.json", "does not start with '-'"),
        (":sub/b.json", "no such baseline: "),
        ("v1:", "no such baseline: "),
        ("C:\\b.json", "no such baseline: "),
        ("c:/b.json", "no such baseline: "),
        ("sub", "cannot be read: Is a directory"),
    ],
)
def test_what_git_or_the_disk_does_not_have(repository: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        source(text, repository).read()
    assert error.value.where == "here"
    assert message in error.value.problem
    assert not (repository / "x:sub").exists()


def test_the_first_baseline_and_a_commit_that_was_not_fetched(repository: Path) -> None:
    with pytest.raises(ConfigurationError) as error:
        source("v1:embedbench-baseline.json", repository).read()
    assert error.value.fix.startswith("write the baseline with pytest --embed-update-baseline, and commit it to v1; a ")
    with pytest.raises(ConfigurationError) as error:
        source("origin/main:embedbench-baseline.json", repository).read()
    assert error.value.fix.endswith("a commit that is not here must be fetched (actions/checkout: fetch-depth: 0)")


def test_without_a_repository_or_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(ConfigurationError, match=r"git cannot read HEAD:b\.json: fatal: not a git repository"):
        source("HEAD:b.json", tmp_path).read()
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ConfigurationError, match="git cannot be run"):
        source("HEAD:b.json", tmp_path).read()


def test_a_file_whose_name_has_a_colon_wins(repository: Path) -> None:
    (repository / "v1:x.json").write_text(dump_baseline(Baseline(pairs=[entry("colon")])), "utf-8")
    assert source("v1:x.json", repository).read().pairs[0].model == "colon"
