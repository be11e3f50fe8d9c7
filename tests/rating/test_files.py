"""Files of judgments: every row is one judgment, and a bad one is an error that says where and how to mend it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_embedbench.errors import ConfigurationError
from pytest_embedbench.rating.files import read_judgments, write_judgments
from pytest_embedbench.rating.judgments import JudgeTrial, Judgment

HEADER = "dataset,query_id,model_a,model_b,outcome,first_shown,repeat\n"
LINE = '{"dataset":"d","query_id":"q","model_a":"x","model_b":"y","outcome":"a"}'

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
ids = texts.filter(str.strip)
outcomes = st.sampled_from(["a", "b", "tie"])
judgments = st.builds(
    Judgment,
    dataset=ids,
    query_id=ids,
    model_a=ids,
    model_b=ids,
    outcome=outcomes,
    first_shown=st.sampled_from(["a", "b", ""]),
    repeat=st.integers(0, 3),
    judge=texts,
    values=st.none() | st.tuples(st.floats(0, 1), st.floats(0, 1)),
    top_a=st.lists(texts, max_size=2).map(tuple),
    top_b=st.lists(texts, max_size=2).map(tuple),
    run_a=texts,
    run_b=texts,
    trials=st.lists(
        st.builds(
            JudgeTrial,
            first_shown=st.sampled_from(["a", "b"]),
            outcome=outcomes,
            reason=texts,
            reply=texts,
            prompt_tokens=st.integers(0, 10**6),
        ),
        max_size=2,
    ).map(tuple),
)


@settings(deadline=None)
@given(st.lists(judgments, min_size=1, max_size=5))
def test_what_is_written_reads_back(tmp_path_factory: pytest.TempPathFactory, written: list[Judgment]) -> None:
    path = tmp_path_factory.mktemp("judgments") / "judgments.jsonl"
    write_judgments(path, written)
    assert read_judgments([path]) == written
    assert path.read_text("utf-8").count("\n") >= len(written)


def test_csv_with_all_columns(tmp_path: Path) -> None:
    path = tmp_path / "j.csv"
    path.write_text(HEADER + 'd,"q, 1",x,y,tie,b,1\nd,q2,x,y,a,,\n', "utf-8")
    assert read_judgments([path]) == [
        Judgment(dataset="d", query_id="q, 1", model_a="x", model_b="y", outcome="tie", first_shown="b", repeat=1),
        Judgment(dataset="d", query_id="q2", model_a="x", model_b="y", outcome="a"),
    ]


def test_csv_needs_five_columns_in_any_order_and_allows_others(tmp_path: Path) -> None:
    path = tmp_path / "j.csv"
    path.write_bytes("\ufeffoutcome,model_b,model_a,query_id,dataset,cost\r\n\r\n b ,y,x,q,d,0.1\r\n".encode())
    assert read_judgments([path]) == [Judgment(dataset="d", query_id="q", model_a="x", model_b="y", outcome="b")]


def test_the_same_row_twice_is_two_judgments_and_files_keep_their_order(tmp_path: Path) -> None:
    (tmp_path / "one.csv").write_text(HEADER + "d,q,x,y,a,a,0\n" * 3, "utf-8")
    (tmp_path / "two.jsonl").write_text(f"{LINE}\n\n{LINE}\n", "utf-8")
    read = read_judgments([tmp_path / "two.jsonl", tmp_path / "one.csv"])
    assert [judgment.first_shown for judgment in read] == ["", "", "a", "a", "a"]


@pytest.mark.parametrize(
    ("name", "content"),
    [("any.txt", LINE), ("judgments", f"\n  {LINE}\n"), ("j.txt", HEADER + "d,q,x,y,a,a,0\n")],
)
def test_without_a_known_extension_the_content_says_what_it_is(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content, "utf-8")
    assert len(read_judgments([tmp_path / name])) == 1


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("j.csv", "d,q,x,y,win,a,0", "j.csv:2: outcome: Invalid enum value 'win'\n  fix: write a if"),
        ("j.csv", "d,q,x,y,,a,0", "j.csv:2: outcome: missing\n  fix: write a if"),
        ("j.csv", "d,,x,y,a,a,0", "j.csv:2: query_id: missing\n  fix: write one judgment a line"),
        ("j.csv", "d,q,x,y,a,a,0\nd,q, ,y,a,a,0", "j.csv:3: model_a: missing"),
        ("j.csv", "d,q,x,y,a,left,0", "j.csv:2: first_shown: Invalid enum value 'left'\n  fix: write a or b; leave"),
        ("j.csv", "d,q,x,y,a,a,no", "j.csv:2: repeat: Expected `int`, got `str`\n  fix: write 0, or 1"),
        ("j.csv", "d,q,x,y,a,a,-1", "j.csv:2: repeat: Expected `int` >= 0\n  fix: write 0, or 1"),
        ("j.csv", "d,q,x,y,a", "j.csv:2: 5 columns where the header has 7\n  fix: give each row dataset,"),
        ("j.csv", "d,q,x,y,a,a,0,9", "j.csv:2: 8 columns where the header has 7"),
        ("j.csv", 'd,"q\n1",x,y,a,a,0\nd,q,x,y,c,a,0', "j.csv:4: outcome: Invalid enum value 'c'"),
        ("j.csv", 'd,"q,x,y,a,a,0\nd,q,x,y,a,a,0', "j.csv:3: not CSV: unexpected end of data\n  fix: check the quotes"),
        ("j.csv", "", "j.csv: holds no judgment\n  fix: write one judgment a line"),
    ],
)
def test_a_bad_csv_row(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(HEADER + content, "utf-8")
    with pytest.raises(ConfigurationError) as caught:
        read_judgments([tmp_path / name])
    assert str(caught.value).startswith(f"{tmp_path}/{message}")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (LINE.replace('"a"}', '"won"}'), "2: outcome: Invalid enum value 'won'\n  fix: write a if"),
        (LINE.replace(',"outcome":"a"', ""), "2: outcome: missing\n  fix: write a if"),
        (LINE.replace('"q"', '" "'), "2: query_id: missing"),
        (LINE.replace('"q"', "7"), "2: query_id: Expected `str`, got `int`"),
        (LINE.replace('"x"', "null"), "2: model_a: missing"),
        (LINE.replace('"a"}', '["a"]}'), "2: outcome: Expected `str`, got `array`"),
        (LINE.replace("}", ',"repeat":"1"}'), "2: repeat: Expected `int`, got `str`"),
        (LINE.replace("}", ',"first-shown":"a"}'), "2: first-shown: unknown name\n  fix: did you mean 'first_shown'?"),
        (LINE.replace("}", ',"trials":[{"outcome":"a"}]}'), "2: trials: Object missing required field `first_shown`"),
        (LINE[:-1], "2: not a judgment in JSON: "),
        (f"[{LINE}]", "2: not a judgment in JSON: Expected `object`, got `array`"),
        ('{"dataset":' + "[" * 9999, "2: not a judgment in JSON: "),
    ],
)
def test_a_bad_json_line(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "j.jsonl"
    path.write_text(f"{LINE}\n{line}\n{LINE}\n", "utf-8")
    with pytest.raises(ConfigurationError) as caught:
        read_judgments([path])
    assert str(caught.value).startswith(f"{path}:{message}")
    assert "\n  fix: " in str(caught.value)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("dataset,query_id,model_a,model_b\n", "1: outcome: the column is missing\n  fix: the first line names"),
        ("d,q,x,y,a,a,0\n", "1: dataset: the column is missing"),
        (HEADER.replace("repeat", "outcome"), "1: outcome: the column stands twice\n  fix: keep one"),
        (HEADER.replace("first_shown", "First-Shown"), "1: First-Shown: unknown name\n  fix: did you mean"),
        (HEADER.replace("repeat", "repeats"), "1: repeats: unknown name\n  fix: did you mean 'repeat'?"),
    ],
)
def test_a_bad_header(tmp_path: Path, header: str, message: str) -> None:
    path = tmp_path / "j.csv"
    path.write_text(header + "d,q,x,y,a,a,0\n", "utf-8")
    with pytest.raises(ConfigurationError) as caught:
        read_judgments([path])
    assert str(caught.value).startswith(f"{path}:{message}")


@pytest.mark.parametrize("name", ["j.csv", "j.jsonl"])
def test_an_empty_file_is_an_error(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("\n \n", "utf-8")
    with pytest.raises(ConfigurationError, match="holds no judgment"):
        read_judgments([tmp_path / name])


def test_a_file_that_is_not_utf8_is_an_error_with_the_line(tmp_path: Path) -> None:
    path = tmp_path / "j.csv"
    path.write_bytes(HEADER.encode() + b"d,q,x,y,a,a,0\nd,caf\xe9,x,y,a,a,0\n")
    with pytest.raises(ConfigurationError, match=r"j\.csv:3: not UTF-8 .*\n  fix: save the file as UTF-8"):
        read_judgments([path])


def test_a_missing_file_and_a_folder_are_errors(tmp_path: Path) -> None:
    for path, why in ((tmp_path / "no.csv", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(ConfigurationError, match=f"{path}: cannot be read: {why}"):
            read_judgments([path])
