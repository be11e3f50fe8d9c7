"""A short form of ``python -m tests.torture.fuzz``: damaged files give a value or an error of the package, at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.torture.readers import READERS

COUNT = 200
"""Inputs for each reader; ``make torture`` takes 10,000."""


def test_damaged_files_give_a_value_or_an_error_of_the_package() -> None:
    pytest.importorskip("pyarrow", reason="needs the extra parquet")
    # In a process of its own, whose memory and signals the readers have for themselves.
    ran = subprocess.run(
        [sys.executable, "-m", "tests.torture.fuzz", "--count", str(COUNT)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.count(f": {COUNT} inputs") == len(READERS)
