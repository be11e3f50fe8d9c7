"""Choose the conformance probes of each model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import get_args

import msgspec

from pytest_embedbench import catalog
from pytest_embedbench.datasets.spec import NamedDataset
from pytest_embedbench.models.spec import ModelSpec, NamedModel, ProbeName


class Examinee(msgspec.Struct, frozen=True, kw_only=True):
    """A model and the conformance probes that it must pass.

    ``reference`` is the model whose vectors it should reproduce. ``dataset`` is the first one that it is tested on, if
    any: with ``dtype = "auto"`` its texts decide in which number format the model is loaded.
    """

    model: NamedModel
    probes: tuple[ProbeName, ...]
    reference: NamedModel | None = None
    dataset: NamedDataset | None = None


def examinees(
    models: Sequence[NamedModel],
    find_reference: Callable[[NamedModel], NamedModel],
    dataset: NamedDataset | None = None,
) -> list[Examinee]:
    """Return every model that makes vectors, with the probes that apply to it.

    Variants of a model share its vectors, so that only the first of them is listed.
    """
    by_base: dict[NamedModel, Examinee] = {}
    for model in models:
        if model.spec.kind == "bm25" or model.base in by_base:
            continue
        reference = find_reference(model) if model.spec.reference else None
        probes = tuple(probe for probe in get_args(ProbeName) if _applies(probe, model.spec))
        by_base[model.base] = Examinee(model=model, probes=probes, reference=reference, dataset=dataset)
    return list(by_base.values())


def _applies(probe: ProbeName, spec: ModelSpec) -> bool:
    """Whether the probe can tell anything about the model: some need a fact that the model declares."""
    entry = catalog.entry_of(spec)
    applies = {
        "prompts": entry is not None,
        "roles": any(prompt != "" for prompt in spec.prompts.values()) or any(spec.request_fields.values()),
        "matryoshka": bool(spec.matryoshka or (entry and entry.matryoshka)),
        "parity": bool(spec.reference),
    }
    return applies.get(probe, True) and probe not in spec.skip_probes
