"""The suite in Python alone, with a marker and fixtures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.examples.conftest import Example

EXAMPLE = "python-only"


def test_it_passes_and_the_command_line_may_name_other_models(example: Example) -> None:
    shown = example.passes("-m", "pytest", "-v")
    assert "test_retrieval.py::test_the_answer_is_among_the_first_ten[minilm-builtin] PASSED" in shown
    assert "3 passed" in shown
    pytest.importorskip("bm25s", reason="needs the extra bm25")
    done = example.run(
        "-m", "pytest", "-v", "test_retrieval.py", "--embed-model", "minilm,bm25", "-k", "first_ten", "--collect-only"
    )
    assert "test_the_answer_is_among_the_first_ten[bm25-builtin]" in done.stdout
