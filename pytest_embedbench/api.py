"""Evaluate a model that is in memory, from any Python program: a training loop, a notebook. Needs no pytest session."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

from pytest_embedbench.core.measures import parse_measure
from pytest_embedbench.core.parsing import parse_at
from pytest_embedbench.datasets.load import load_dataset
from pytest_embedbench.errors import ConfigurationError
from pytest_embedbench.evaluate.evaluation import evaluate
from pytest_embedbench.evaluate.metrics import Scores, means
from pytest_embedbench.models.callable import CallableModel
from pytest_embedbench.suite.names import Names, Overrides

if TYPE_CHECKING:
    from numpy.typing import ArrayLike
    from sentence_transformers import SentenceTransformer

    from pytest_embedbench.datasets.types import Role
    from pytest_embedbench.models.callable import Encode


class ModelScores(NamedTuple):
    """``means``: measure -> mean over the judged queries. ``per_query``: measure -> query id -> value."""

    means: dict[str, float]
    per_query: Scores


def evaluate_model(
    model: SentenceTransformer | Encode,
    dataset: str | Path = "builtin",
    *,
    metrics: Iterable[str] = ("ndcg@10",),
) -> ModelScores:
    """Rank a dataset with a model that is in memory and score the ranking, as a suite does; nothing is stored.

    Args:
        model: a SentenceTransformer, which puts its own prompts in front and is left in the mode (training or not) in
            which it was; or a function of texts and ``"query"`` or ``"document"`` that gives their vectors, shape
            (texts, dimensions). Scores of documents are inner products.
        dataset: a name, folder, file or Hub id, as for ``--embed-dataset``; paths start at the working folder.
        metrics: e.g. ``["ndcg@10", "recall@100"]``.

    Raises:
        ConfigurationError: no such dataset or metric.
        DatasetError: a file of the dataset is missing or malformed.
        ModelError: the vectors cannot be used: NaN, or not one for each text.
    """
    measures = [parse_at("metrics", parse_measure, name) for name in metrics]
    try:
        overrides = Overrides(datasets=(str(dataset),), folder=Path.cwd())
        (named,) = Names.without_suite(overrides).datasets()
    except ConfigurationError as error:
        raise ConfigurationError("dataset", error.problem, error.fix) from None
    is_model = hasattr(model, "encode_query")
    encode = _encoding(cast("SentenceTransformer", model)) if is_model else cast("Encode", model)
    done = evaluate(CallableModel(encode), load_dataset(named), measures)
    return ModelScores(means(done.scores), done.scores)


def _encoding(model: SentenceTransformer) -> Encode:
    def encode(texts: Sequence[str], role: Role) -> ArrayLike:
        training = model.training
        try:
            encode_role = model.encode_query if role == "query" else model.encode_document
            return encode_role(list(texts), convert_to_numpy=True, show_progress_bar=False)
        finally:
            model.train(training)

    return encode
