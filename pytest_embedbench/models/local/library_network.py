"""Checkpoints that sentence-transformers itself loads and runs: on GPUs all, on CPUs those that are not plain."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Pooling, Router, Transformer

from pytest_embedbench.datasets.types import ROLES, Role
from pytest_embedbench.errors import ModelError
from pytest_embedbench.models.fast.packed import Packing, can_pack
from pytest_embedbench.models.local.adapters import adapter_base
from pytest_embedbench.models.local.first_module import FirstModule, Static, TextTransformer, first_module
from pytest_embedbench.models.local.progress_bars import without_progress_bars
from pytest_embedbench.models.local.refusals import load_error, refuse_pickles
from pytest_embedbench.models.local.sentence_transformers_compat import route_modules
from pytest_embedbench.models.sample_texts import SAMPLE_TEXTS

if TYPE_CHECKING:
    from pytest_embedbench.models.backend import Backend
    from pytest_embedbench.models.protocol import PreparedText
    from pytest_embedbench.models.spec import NamedModel


class LibraryNetwork:
    """A ``Network`` around a SentenceTransformer: static vectors, or a transformer that torch or another backend runs.

    Texts are tokenized here, once and in bulk; pooling and normalization are the checkpoint's own modules.

    Raises:
        ModelError: the checkpoint does not load, or its first module is of a kind unknown here.
    """

    def __init__(self, model: NamedModel, folder: Path, backend: Backend, dtype: torch.dtype | None) -> None:
        spec = model.spec
        refuse_pickles(model, folder)
        base = adapter_base(model, folder)
        try:
            with without_progress_bars():
                self.model = SentenceTransformer(
                    base or str(folder),
                    device=backend.device,
                    trust_remote_code=spec.trust_remote_code,
                    local_files_only=True,  # remote/hub.py has downloaded and verified the files
                    backend=spec.backend,
                    model_kwargs=backend.arguments,
                )
                if base:
                    self.model.load_adapter(str(folder))
        except Exception as error:
            raise load_error(model, folder, error) from error
        try:
            self._modules = {role: _modules(self.model, role) for role in ROLES}
        except ValueError as error:
            raise ModelError(f"{folder}: {error}", where=f"model {model.alias!r}") from None
        # One for each module: without a router both roles have the same, whose tokenizer is set up once.
        distinct = dict.fromkeys(modules[0] for modules in self._modules.values())
        by_module = {module: first_module(module, spec.max_seq_length) for module in distinct}
        firsts = {role: by_module[modules[0]] for role, modules in self._modules.items()}
        self._firsts: dict[Role, FirstModule] = {role: first for role, first in firsts.items() if first}
        if len(self._firsts) < len(ROLES):
            problem = "its first module is neither a plain text transformer nor a static embedding"
            raise ModelError(problem, where=f"model {model.alias!r}")
        if any(isinstance(first, Static) for first in self._firsts.values()):
            self.model.to(dtype)  # its loader takes no number format
        self.model.eval()
        self._role: Role = "document"
        self.declared: Mapping[str, str | None] = self.model.prompts
        self.default_prompt_name: str | None = self.model.default_prompt_name
        self.notice = "; ".join(dict.fromkeys(first.notice for first in self._firsts.values() if first.notice))

    def for_role(self, role: Role) -> LibraryNetwork:
        """Return the network for texts of a role, which a router may send through modules of their own."""
        network = copy(self)
        network._role = role  # noqa: SLF001 - our own class's
        return network

    @property
    def _first(self) -> FirstModule:
        return self._firsts[self._role]

    def pack(self) -> None:
        """Leave padding out from now on where the modules allow it, unless that changes vectors."""
        first = self._first
        if not (isinstance(first, TextTransformer) and _packable(self.model)):
            return
        texts = self.prepare(SAMPLE_TEXTS, "")
        # The padded vectors come first: packing changes the modules.
        padded, packing = self.vectors(texts, None), Packing(first.module.model)
        first.pack(packing)
        if not packing.pack_if_same(lambda: self.vectors(texts, None), padded):
            first.packing = None

    @property
    def facts(self) -> dict[str, Any]:
        """Return the facts; where a router makes them differ by role, texts name both and numbers are documents'."""
        query, document = (self._facts(role) for role in ROLES)
        differing = {
            key: f"query: {query.get(key) or 'none'}, document: {value or 'none'}"
            for key, value in document.items()
            if isinstance(value, str) and query.get(key, "") != value
        }
        return {
            **document,
            **differing,
            "dimensions": self.model.get_embedding_dimension(),
            "normalized": query["normalized"] and document["normalized"],
        }

    def _facts(self, role: Role) -> dict[str, Any]:
        modules = self._modules[role]
        pooling = next((str(m.pooling_mode) for m in modules if hasattr(m, "pooling_mode")), "")
        return {
            "normalized": isinstance(modules[-1], Normalize) and self.model.truncate_dim is None,
            "pooling": pooling,
            **self._firsts[role].facts,  # last: static vectors have no pooling module, and state their own pooling
        }

    @property
    def settings(self) -> Mapping[str, Any]:
        config = getattr(self._modules[self._role][0], "config", None)
        return config.to_dict() if config is not None else {}

    def parameters(self) -> Iterable[torch.Tensor]:
        return self.model.parameters()

    def prepare(self, texts: Sequence[str], prompt: str) -> list[PreparedText]:
        return self._first.prepare(texts, prompt)

    def prompt_length(self, prompt: str) -> int | None:
        return self._first.prompt_length(prompt)

    @torch.inference_mode()
    def vectors(self, batch: Sequence[PreparedText], prompt_length: int | None) -> torch.Tensor:
        features = {key: value.to(self.model.device) for key, value in self._first.features(batch).items()}
        if prompt_length:
            features["prompt_length"] = prompt_length
        # A checkpoint may declare that only the first dimensions are to be used.
        # The role is for routers, as in encode_query and encode_document; other modules do not get it.
        output = self.model(features, task=self._role, modality="text")
        vectors: torch.Tensor = output["sentence_embedding"][:, : self.model.truncate_dim]
        return vectors

    @torch.inference_mode()
    def states(self, text: PreparedText) -> torch.Tensor | None:
        features = {key: value.to(self.model.device) for key, value in self._first.features([text]).items()}
        states: torch.Tensor | None = self._modules[self._role][0](features).get("token_embeddings")
        return None if states is None else states[0]


def _modules(model: SentenceTransformer, role: Role) -> list[Any]:
    """Return the modules that texts of a role go through, those of routers in their place.

    Raises:
        ValueError: a router has no route for the role.
    """
    return [
        inner for module in model for inner in (route_modules(module, role) if isinstance(module, Router) else [module])
    ]


def _packable(model: SentenceTransformer) -> bool:
    """Whether every module takes texts in one row."""
    first = model[0]
    if not isinstance(first, Transformer) or first.backend != "torch" or first.transformer_task != "feature-extraction":
        return False
    others = list(model)[1:]
    return all(isinstance(module, (Pooling, Normalize, Dense)) for module in others) and can_pack(first.model)
