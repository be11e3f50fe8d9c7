"""Which models are asked which conformance probes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import get_args

import msgspec

from pytest_embedbench import catalog
from pytest_embedbench.datasets.spec import NamedDataset
from pytest_embedbench.models.spec import ModelSpec, NamedModel, ProbeName


class Examinee(msgspec.Struct, frozen=True, kw_only=True):
    """A model and the probes that it is asked.

    ``reference`` is the model whose vectors it should have; ``dataset`` one that it is used on, if any.
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
    """Every model that makes vectors, its variants once, with the probes that can say something of it."""
    found: dict[NamedModel, Examinee] = {}
    for model in models:
        if model.spec.kind == "bm25" or model.base in found:
            continue
        reference = find_reference(model) if model.spec.reference else None
        probes = tuple(probe for probe in get_args(ProbeName) if _applies(probe, model.spec))
        found[model.base] = Examinee(model=model, probes=probes, reference=reference, dataset=dataset)
    return list(found.values())


def _applies(probe: ProbeName, spec: ModelSpec) -> bool:
    known = catalog.entry_of(spec)
    applies = {
        "prompts": known is not None,
        "roles": any(prompt != "" for prompt in spec.prompts.values()) or any(spec.request_fields.values()),
        "matryoshka": bool(spec.matryoshka or (known and known.matryoshka)),
        "parity": bool(spec.reference),
    }
    return applies.get(probe, True) and probe not in spec.skip_probes
