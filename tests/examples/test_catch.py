"""The example of what the plugin catches goes red, and only for the broken model."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.examples.conftest import Example

EXAMPLE = "catch"


def test_the_broken_copy_fails_and_the_healthy_model_passes(example: Example) -> None:
    example.passes("break_pooling.py")
    done = example.run("-m", "pytest", "-v")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "embedbench.toml::minilm::builtin::quality[ndcg@10] PASSED" in done.stdout
    assert "embedbench.toml::cls-pooled::builtin::quality[ndcg@10] FAILED" in done.stdout
    assert "ndcg@10 is 0.53" in done.stdout
    assert "lowest-scoring queries:" in done.stdout
