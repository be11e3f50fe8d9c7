"""A disk that fills up is one error, once; vectors that were computed stay in the cache."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.acceptance.conftest import Project

# Fails as a full disk does, from a number of written files on, as long as the file ``full`` says so.
FULL_DISK = """
    import os
    from pathlib import Path

    written = 0
    real = os.fsync

    def fsync(handle):
        global written
        if Path("full").exists():
            written += "embedbench-out" in os.readlink(f"/proc/self/fd/{handle}")
            if written >= int(Path("full").read_text()):
                raise OSError(28, "No space left on device")
        return real(handle)

    os.fsync = fsync
"""

FUNCTION = """
    from pathlib import Path

    import numpy as np

    def embed(texts, role):
        with open("calls.txt", "a") as file:
            file.write(f"{len(texts)}\\n")
        return np.array([[len(text), text.count("a") + 1, text.count("e") + 1] for text in texts], np.float32)
"""

SUITE = """
    [embedbench]
    models = ["mine"]
    datasets = ["facts", "more"]
    [models.mine]
    callable = "mine:embed"
    [[checks]]
    quality = ["ndcg@10 >= 0", "recall@1 >= 0"]
"""


@pytest.mark.parametrize("first", [1, 3, 7])
def test_a_disk_that_fills_up_is_one_failure(project: Project, first: int) -> None:
    project.data()
    project.data("more")
    for name, text in (("conftest.py", FULL_DISK), ("mine.py", FUNCTION), ("embedbench.toml", SUITE)):
        project.write(name, text)
    project.write("full", str(first))
    result = project.spawn("-rf")
    text = project.text(result)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert result.parseoutcomes()["failed"] == 1, text
    assert "cannot write results: No space left on device" in text
    assert "--embed-results" in text
    assert "Traceback" not in text
    encoded = (project.folder / "calls.txt").read_text("utf-8") if (project.folder / "calls.txt").exists() else ""
    (project.folder / "full").unlink()
    project.spawn().assert_outcomes(passed=4)
    assert not list(project.folder.rglob("*.part"))
    if first > 2:  # before that, nothing was encoded
        assert encoded
