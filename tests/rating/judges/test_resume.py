"""A judge that is stopped, killed or cut off loses nothing that it had judged, and asks nothing twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from pytest_embedbench.cli import main
from pytest_embedbench.errors import ConfigurationError
from pytest_embedbench.rating.files import read_judgments
from pytest_embedbench.rating.judges import log as judge_log
from pytest_embedbench.rating.judges.log import open_log
from pytest_embedbench.rating.judgments import Judgment

if TYPE_CHECKING:
    from tests.conftest import FakeServer
    from tests.rating.judges.conftest import Lab

SLOW = {"kind": "judge", "how": "honest", "delay": 0.3}
QUERIES = 6


class Court:
    """Two models on six queries, so six questions of two requests each."""

    def __init__(self, lab: Lab, server: FakeServer) -> None:
        self.lab, self.server = lab, server
        self.out = lab.folder / "judgments.jsonl"
        self.data = lab.data(queries=QUERIES)
        lab.evaluate("alpha", 1, self.data)
        lab.evaluate("beta", 3, self.data)

    def arguments(self, *more: str) -> list[str]:
        where = ["judge", str(self.lab.results), "--data", str(self.data), "--out", str(self.out)]
        return [*where, "--endpoint", self.server.url, "--model", "judge-1", "--concurrency", "1", *more]

    def judge(self, *more: str, code: int = 0) -> Result:
        done = CliRunner().invoke(main, self.arguments(*more))
        assert done.exit_code == code, done.output + repr(done.exception)
        return done

    def start(self) -> subprocess.Popen[str]:
        """Start the command as a process, and return when it has made two judgments."""
        # A shell's background jobs ignore Ctrl-C, and so would all that they start.
        listen = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
        code = f"{listen}; from pytest_embedbench.cli import main; main(prog_name='embedbench')"
        process = subprocess.Popen(
            [sys.executable, "-c", code, *self.arguments()], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        while not self.out.exists() or self.out.read_bytes().count(b"\n") < 2:
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.01)
        return process

    def asked(self) -> int:
        return len(self.server.seen())


@pytest.fixture
def court(lab: Lab, server: FakeServer) -> Court:
    return Court(lab, server)


def test_a_second_run_asks_nothing(court: Court) -> None:
    court.judge()
    before = court.out.read_bytes()
    court.server.behave()
    done = court.judge()
    assert court.asked() == 0
    assert court.out.read_bytes() == before
    assert done.output.startswith("judgments  0 made, 6 kept from before, 0 failed")
    assert done.output.splitlines()[-2].split() == ["alpha", "6", "0", "0"]


def test_more_queries_are_added_to_those_judged(court: Court) -> None:
    court.judge("--queries", "2")
    before = court.out.read_bytes()
    court.server.behave()
    assert "4 made, 2 kept from before" in court.judge("--queries", "0").output
    assert court.asked() == 8
    assert court.out.read_bytes().startswith(before)
    assert len({j.query_id for j in read_judgments([court.out])}) == QUERIES


def test_more_models_are_added_to_those_judged(court: Court) -> None:
    court.judge()
    court.lab.evaluate("gamma", 2, court.data)
    assert "12 made, 6 kept from before" in court.judge().output


def test_kill_9_loses_nothing_that_was_judged(court: Court) -> None:
    court.server.behave(default=SLOW)
    process = court.start()
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    done_before = court.out.read_bytes().count(b"\n")
    assert 2 <= done_before < QUERIES
    before = court.out.read_bytes()
    court.server.behave()
    done = court.judge()
    assert f"{QUERIES - done_before} made, {done_before} kept from before, 0 failed" in done.output
    assert court.asked() == 2 * (QUERIES - done_before)
    assert court.out.read_bytes().startswith(before)
    judgments = read_judgments([court.out])
    assert len({(j.query_id, j.model_a, j.model_b) for j in judgments}) == len(judgments) == QUERIES


def test_ctrl_c_keeps_what_is_done_and_says_what(court: Court) -> None:
    court.server.behave(default=SLOW)
    process = court.start()
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=120)
    done_before = court.out.read_bytes().count(b"\n")
    assert process.returncode == 1
    assert "Traceback" not in output
    assert f"judgments  {done_before} made, 0 kept from before, 0 failed" in output
    assert output.rstrip().endswith("Aborted!")
    court.server.behave()
    assert f"{QUERIES - done_before} made, {done_before} kept from before" in court.judge().output


def test_used_up_retries_end_the_run_and_keep_what_is_judged(court: Court) -> None:
    judged = [{"kind": "judge", "how": "honest"}] * 4
    failed = {"kind": "status", "status": 500, "body": "failed"}
    court.server.behave(*judged, default=failed)
    done = court.judge("--retries", "1", code=1)
    assert "Error: " in done.output
    assert "HTTP 500: failed\n  all 1 retries are used up" in done.output
    assert "judgments  2 made, 0 kept from before, 0 failed" in done.output
    assert court.asked() == 4 + 2
    assert len(read_judgments([court.out])) == 2
    court.server.behave()
    assert "4 made, 2 kept from before" in court.judge().output


@pytest.mark.parametrize("trouble", [401, 404, 307], ids=["wrong key", "wrong address", "another host"])
def test_what_holds_for_every_request_ends_the_run_at_once(court: Court, trouble: int) -> None:
    headers = {"Location": "http://elsewhere.invalid/v1"}
    court.server.behave(default={"kind": "status", "status": trouble, "headers": headers})
    assert "Error: http://" in court.judge(code=1).output
    assert court.asked() == 1


def test_trouble_of_one_question_does_not_end_the_run(court: Court) -> None:
    court.server.behave({"kind": "judge", "how": "honest"}, {"kind": "status", "status": 413, "body": "too long"})
    done = court.judge()
    assert "5 made, 0 kept from before, 1 failed" in done.output
    assert "HTTP 413: too long" in done.output


# The file


def judgment(query: str) -> Judgment:
    return Judgment(dataset="d", query_id=query, model_a="a", model_b="b", outcome="a", judge="x")


def line(query: str) -> bytes:
    return msgspec.json.encode(judgment(query)) + b"\n"


def kept(path: Path) -> list[str]:
    with open_log(path, "x") as log:
        return [judgment.query_id for judgment in log.judgments]


@pytest.mark.parametrize("length", range(1, len(line("q2")) - 1))
def test_a_torn_last_line_is_removed(tmp_path: Path, length: int) -> None:
    path = tmp_path / "j.jsonl"
    path.write_bytes(line("q1") + line("q2")[:length])
    assert kept(path) == ["q1"]
    assert path.read_bytes() == line("q1")


def test_a_file_that_is_one_torn_line_is_begun_again(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    path.write_bytes(line("q1")[:20])
    assert kept(path) == []
    assert path.read_bytes() == b""


def test_a_whole_last_line_without_its_end_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    path.write_bytes(line("q1") + line("q2").removesuffix(b"\n"))
    assert kept(path) == ["q1", "q2"]
    assert path.read_bytes() == line("q1") + line("q2")


@pytest.mark.parametrize("content", ["my notes", "{}\nmy notes", '{"other": 1}'])
def test_another_file_is_left_as_it_is(court: Court, content: str) -> None:
    court.out.write_text(content, "utf-8")
    assert str(court.out) in court.judge(code=1).output
    assert court.out.read_text("utf-8") == content
    assert court.asked() == 0


@pytest.mark.parametrize("change", [["--k", "5"], ["--max-chars", "10"], ["--model", "judge-2"]], ids=" ".join)
def test_a_file_of_other_settings_is_refused(court: Court, change: list[str]) -> None:
    court.judge()
    before = court.out.read_bytes()
    court.server.behave()
    done = court.judge(*change, code=1)
    assert "holds judgments of 'llm judge-1 top 10 chars 1000 prompt " in done.output
    assert "fix: use the same settings, or another file" in done.output
    assert court.asked() == 0
    assert court.out.read_bytes() == before


def test_another_wording_of_the_question_is_another_judge(court: Court, monkeypatch: pytest.MonkeyPatch) -> None:
    from pytest_embedbench.rating.judges import llm as judge_llm

    court.judge()
    monkeypatch.setattr(judge_llm, "PROMPT", "0123456789ab")
    assert "holds judgments of" in court.judge(code=1).output


def test_judgments_of_other_lists_are_refused(court: Court) -> None:
    court.judge()
    court.lab.evaluate("beta", 2, court.data)
    done = court.judge(code=1)
    assert "alpha and beta: judged earlier with other lists or texts" in done.output
    assert "models or data have changed: use another file" in done.output


def test_judgments_of_other_texts_are_refused(court: Court) -> None:
    court.judge()
    court.data = court.lab.data("changed/facts", text="now about")
    for alias, rank in (("alpha", 1), ("beta", 3)):
        court.lab.evaluate(alias, rank, court.data)
    assert "judged earlier with other lists or texts" in court.judge(code=1).output


def test_a_file_in_use_is_refused(court: Court, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_log(court.out, "x"):
        assert "another process is writing to it" in court.judge(code=1).output


def test_each_judgment_is_on_disk_before_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[bytes] = []
    path = tmp_path / "deep" / "j.jsonl"
    monkeypatch.setattr(os, "fsync", lambda _: synced.append(path.read_bytes()))
    with open_log(path, "x") as log:
        for query in ("q1", "q2"):
            log.append(judgment(query))
    assert synced == [line("q1"), line("q1") + line("q2")]
    assert line("q1").startswith(judge_log.BEGINNING)


def test_a_full_disk_is_an_error_that_keeps_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "j.jsonl"
    with open_log(path, "x") as log:
        log.append(judgment("q1"))
        monkeypatch.setattr(os, "fsync", fail)
        with pytest.raises(ConfigurationError, match=r"j.jsonl: cannot be written: No space left on device"):
            log.append(judgment("q2"))
    monkeypatch.undo()
    assert read_judgments([path])[0] == judgment("q1")


def test_a_place_that_cannot_be_written_is_an_error(court: Court) -> None:
    (court.lab.folder / "file").write_text("x", "utf-8")
    court.out = court.lab.folder / "file" / "j.jsonl"
    assert "j.jsonl: cannot be" in court.judge(code=1).output
