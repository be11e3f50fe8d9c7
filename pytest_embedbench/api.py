"""Evaluate a model in memory, from any Python program such as a training loop or a notebook, without pytest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

from pytest_embedbench.core.measures import parse_measure
from pytest_embedbench.core.parsing import parse_at
from pytest_embedbench.core.similarity import DEFAULT_SIMILARITY, SIMILARITIES, Similarity
from pytest_embedbench.datasets.load import load_dataset
from pytest_embedbench.errors import ConfigurationError, closest
from pytest_embedbench.evaluate.evaluation import evaluate
from pytest_embedbench.evaluate.metrics import Scores, means
from pytest_embedbench.models.callable import CallableModel
from pytest_embedbench.models.protocol import ModelFacts
from pytest_embedbench.suite.model_names import Names, Overrides

if TYPE_CHECKING:
    from numpy.typing import ArrayLike
    from sentence_transformers import SentenceTransformer

    from pytest_embedbench.datasets.types import Role
    from pytest_embedbench.models.callable import Encode


class ModelScores(NamedTuple):
    """Scores of a model on one dataset."""

    means: dict[str, float]
    """Metric -> mean over the judged queries."""
    per_query: Scores
    """Metric -> query id -> value."""


def evaluate_model(
    model: SentenceTransformer | Encode,
    dataset: str | Path = "builtin",
    *,
    metrics: Iterable[str] = ("ndcg@10",),
    similarity: Similarity | None = None,
) -> ModelScores:
    """Rank a dataset with a model in memory, and score the ranking as a suite does; nothing is stored.

    Args:
        model: a SentenceTransformer, which adds its own prompts and keeps its mode (training or evaluation); or a
            function of texts and ``"query"`` or ``"document"`` that returns their vectors, shape (texts, dimensions).
        dataset: a name, folder, file or Hub id, as for ``--embed-dataset``; paths start at the working folder.
        metrics: e.g. ``["ndcg@10", "recall@100"]``.
        similarity: ranks the documents: ``cosine``, ``dot``, ``euclidean`` or ``manhattan``. Absent: the one that the
            SentenceTransformer declares; cosine for a function.

    Raises:
        ConfigurationError: there is no such dataset, metric or similarity.
        DatasetError: a file of the dataset is missing or malformed.
        ModelError: the vectors cannot be used: they hold NaN, or there is not one for each text.
    """
    if similarity is not None and similarity not in SIMILARITIES:
        raise ConfigurationError("similarity", f"unknown similarity {similarity!r}", closest(similarity, SIMILARITIES))
    measures = [parse_at("metrics", parse_measure, name) for name in metrics]
    try:
        overrides = Overrides(datasets=(str(dataset),), folder=Path.cwd())
        (named,) = Names.without_suite(overrides).datasets()
    except ConfigurationError as error:
        # The error names --embed-dataset, which is not an argument of this function.
        raise ConfigurationError("dataset", error.problem, error.fix) from None
    # isinstance() would need an import of sentence_transformers, and with it torch, even for a plain function.
    is_model = hasattr(model, "encode_query")
    encode = _encoding(cast("SentenceTransformer", model)) if is_model else cast("Encode", model)
    if similarity is None and is_model:
        similarity = cast("SentenceTransformer", model).similarity_fn_name
    facts = ModelFacts(similarity=similarity or DEFAULT_SIMILARITY)
    scores = evaluate(CallableModel(encode, facts=facts), load_dataset(named), measures).scores
    return ModelScores(means(scores), scores)


def _encoding(model: SentenceTransformer) -> Encode:
    """Return the model as a function; encoding puts it into evaluation mode, so its mode is restored."""

    def encode(texts: Sequence[str], role: Role) -> ArrayLike:
        training = model.training
        try:
            encode_role = model.encode_query if role == "query" else model.encode_document
            return encode_role(list(texts), convert_to_numpy=True, show_progress_bar=False)
        finally:
            model.train(training)

    return encode
