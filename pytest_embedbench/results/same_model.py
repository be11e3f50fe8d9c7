"""Whether two results are of one model: the same weights under the same settings."""

from __future__ import annotations

from pytest_embedbench.core.similarity import DEFAULT_SIMILARITY
from pytest_embedbench.results.reuse import hash_parts, settings
from pytest_embedbench.results.schema import ModelRecord


def weights(record: ModelRecord) -> str:
    """Return what stands for a model's weights: the fingerprint of its files or, if it is unknown, the revision.

    Two revisions may have the same weights, e.g. a branch and its commit, or commits that changed only the README.
    """
    return record.fingerprint or record.revision


def identity(record: ModelRecord) -> tuple[str | None, ...]:
    """Return everything that makes a model another one: name, weights, prompts and settings."""
    # Results from before similarities were declared were ranked by inner products, which for vectors of length 1 are
    # cosines.
    earlier = DEFAULT_SIMILARITY if record.facts.normalized else "dot"
    return (
        record.name,
        weights(record),
        *other_settings(record),
        record.facts.similarity or earlier,
    )


def other_settings(record: ModelRecord) -> tuple[str | None, ...]:
    """Return prompts and settings, by which two models of one name and the same weights can differ."""
    return (record.spec.query_prompt, record.spec.document_prompt, hash_parts(settings(record.spec)))
