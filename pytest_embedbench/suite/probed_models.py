"""Choose the conformance probes of each model."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from pytest_embedbench import catalog
from pytest_embedbench.conformance.probes import PROBES
from pytest_embedbench.datasets.spec import NamedDataset
from pytest_embedbench.errors import ConfigurationError, closest
from pytest_embedbench.models.spec import ModelSpec, NamedModel


class ProbedModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model and the conformance probes that it must pass.

    ``reference`` is the model whose vectors it should reproduce. ``dataset`` is the first one that it is tested on, if
    any: with ``dtype = "auto"`` its texts decide in which number format the model is loaded.
    """

    model: NamedModel
    probes: tuple[str, ...]
    reference: NamedModel | None = None
    dataset: NamedDataset | None = None


def probed_models(
    models: Sequence[NamedModel],
    find_reference: Callable[[NamedModel], NamedModel],
    dataset: NamedDataset | None = None,
) -> list[ProbedModel]:
    """Return every model that makes vectors, with the probes that apply to it.

    Variants of a model share its vectors, so that only the first of them is listed.
    """
    by_base: dict[NamedModel, ProbedModel] = {}
    for model in models:
        if not model.spec.has_vectors or model.base in by_base:
            continue
        reference = find_reference(model) if model.spec.reference else None
        probes = _applying(model.spec)
        by_base[model.base] = ProbedModel(model=model, probes=probes, reference=reference, dataset=dataset)
    return list(by_base.values())


def _applying(spec: ModelSpec) -> tuple[str, ...]:
    known = catalog.entry_of(spec)
    return tuple(name for name, probe in PROBES.items() if name not in spec.skip_probes and probe.applies(spec, known))


def check_skipped_probes(spec: ModelSpec, where: str) -> None:
    """Refuse names in ``skip_probes`` that no probe has.

    Raises:
        ConfigurationError: there is such a name.
    """
    for index, name in enumerate(spec.skip_probes):
        if name not in PROBES:
            at = f"{where}.skip_probes[{index}]"
            raise ConfigurationError(at, f"no probe is called {name!r}", closest(name, PROBES))
