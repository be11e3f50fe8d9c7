"""The fine-tuning loop runs, evaluates after each epoch, and keeps a model that a suite can test."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.examples.conftest import Example

EXAMPLE = "fine-tuning"


def test_each_epoch_is_evaluated_and_the_best_is_kept(example: Example) -> None:
    shown = example.passes("train.py")
    before = float(re.search(r"before training: ndcg@10 ([\d.]+)", shown)[1])  # type: ignore[index]
    epochs = [
        (float(loss), float(score)) for loss, score in re.findall(r"epoch \d: loss ([\d.]+), ndcg@10 ([\d.]+)", shown)
    ]
    best = float(re.search(r"best: ndcg@10 ([\d.]+)", shown)[1])  # type: ignore[index]
    assert len(epochs) == 2
    assert epochs[1][0] < epochs[0][0]  # it learns
    assert best == max(before, *(score for _, score in epochs))

    # The suite's own evaluation of the saved model says the same.
    tested = example.passes("-m", "pytest", "--rootdir=.", "--embed-model=best", "--embed-dataset=tickets")
    assert re.search(rf"^best +tickets +ndcg@10 +{best:.4f}", tested, re.MULTILINE), tested
