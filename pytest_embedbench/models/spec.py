"""Which model a name means, and the facts known of it; nothing here loads a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec


class ModelSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to load a model and what a card says of it: an entry of the catalogue or of a suite's ``[models.X]``.

    One of ``path`` (a folder), ``package`` (an installed package that carries the weights, see ``package_folder``)
    or ``hub`` (a Hub id) says where a sentence-transformers model comes from; where several are given, a package
    that is installed comes first, since it needs no network.
    """

    kind: Literal["sentence-transformers", "bm25"] = "sentence-transformers"
    name: str = ""
    """``org/model``, as results and cards write it; the alias where absent."""
    aliases: tuple[str, ...] = ()
    path: str = ""
    package: str = ""
    package_folder: str = ""
    package_extra: str = ""
    """The extra of pytest-embedbench that installs ``package``."""
    hub: str = ""
    revision: str = ""
    query_prompt: str | None = None
    document_prompt: str | None = None
    """Text put before every query or document; absent: the prompt that the checkpoint's own files declare."""
    max_seq_length: Annotated[int, msgspec.Meta(ge=1)] | None = None
    trust_remote_code: bool = False

    description: str = ""
    summary: str = ""
    """One sentence for the card's front matter; the description where absent."""
    source: str = ""
    base_model: str = ""
    licence: str = ""
    architecture: str = ""
    parameters: int | None = None
    dimensions: int | None = None
    max_tokens: int | None = None
    canonical_url: str = ""


class NamedModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model under the name that the user gave it (``alias``); node ids and tables use that name."""

    alias: str
    spec: ModelSpec

    @property
    def name(self) -> str:
        return self.spec.name or self.spec.hub or self.alias

    def folder(self) -> Path | None:
        """The local folder with the weights, or None where they come from the Hub (or there are none)."""
        from importlib.util import find_spec

        if self.spec.package and (found := find_spec(self.spec.package)) and found.origin:
            return Path(found.origin).parent / self.spec.package_folder
        return Path(self.spec.path) if self.spec.path else None
