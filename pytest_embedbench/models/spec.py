"""Definitions of models: where they come from, how they are loaded, and facts for cards. Nothing here loads a model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from pytest_embedbench.core.bounded import (
    BatchTokens,
    Dimensions,
    FieldFloat,
    FieldInt,
    Parameters,
    Price,
    RequestsInFlight,
    RequestsPerMinute,
    RequestTexts,
    Retries,
    TextTokens,
    TimeoutSeconds,
    WaitSeconds,
)
from pytest_embedbench.core.similarity import Similarity
from pytest_embedbench.core.thresholds import parse_duration
from pytest_embedbench.datasets.types import Dataset, Role
from pytest_embedbench.models.prompts import filled, has_place, prompt_parts, split_at_title, stated
from pytest_embedbench.models.variants import Precision, Variant

WireEncoding = Literal["float", "base64"]

DEFAULT_TASK = "Given a web search query, retrieve relevant passages that answer the query"
"""Instruction for datasets that have none of their own: Qwen3-Embedding's own default."""

IsoDate = Annotated[str, msgspec.Meta(pattern=r"^([0-9]{4}-[0-9]{2}-[0-9]{2})?$")]


KEYS_WITHOUT_EFFECT = frozenset({
    "name", "aliases", "description", "summary", "source", "base_model", "licence", "architecture", "parameters",
    "max_tokens", "pooling", "padding_side", "normalized", "matryoshka", "reference", "skip_probes", "canonical_url",
    "provider", "release_date", "price_per_million_tokens", "languages", "api_key_env", "batch_texts", "batch_tokens",
    "concurrency", "timeout", "retries", "patience", "requests_per_minute", "hardware",
})  # fmt: skip
"""Keys of a definition that decide no number: names and facts for cards, keys to a server, how requests are paced. All
other keys, new ones too, count as deciding numbers."""


KEYS_WITH_SECRETS = frozenset({"query", "headers"})
"""Keys of a definition whose values are not shown."""


KINDS_WITHOUT_VECTORS = frozenset({"bm25"})
"""Kinds of models that rank documents without vectors, so that they cannot be cut, probed or profiled."""


def patience_seconds(patience: str | float) -> float:
    """Return the seconds of a definition's ``patience``.

    Raises:
        ParseError: it is a text and no duration.
    """
    return parse_duration(patience) if isinstance(patience, str) else float(patience)


class ModelSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Definition of a model: an entry of the catalogue or of a suite's ``[models.X]``.

    A sentence-transformers model comes from ``path`` (a folder), ``package`` (an installed package that carries the
    weights, see ``package_folder``) or ``hub`` (a Hub id). If several are given, an installed package comes first,
    since it needs no network. A model behind an endpoint is named by ``url`` and ``model``, a Python function by
    ``callable``.
    """

    kind: Literal["sentence-transformers", "bm25", "endpoint", "callable"] = "sentence-transformers"
    name: str = ""
    """``org/model``, as results and cards write it; the alias by default."""
    aliases: tuple[str, ...] = ()
    path: str = ""
    package: str = ""
    package_folder: str = ""
    package_extra: str = ""
    """The extra of pytest-embedbench that installs ``package``."""
    hub: str = ""
    revision: str = ""
    callable: str = ""
    """Import path of a Python function, ``package.module:function``, from texts and a role (``"query"`` or
    ``"document"``) to vectors."""
    backend: Literal["torch", "onnx", "openvino"] = "torch"
    """Library that runs a sentence-transformers model."""
    backend_file: str = ""
    """File of the model that the backend loads, e.g. ``onnx/model_qint8_avx2.onnx``."""
    query_prompt: str | None = None
    document_prompt: str | None = None
    """Text in front of every query or document; by default the prompt that the checkpoint's own files declare.
    ``{task}`` in it stands for the dataset's instruction, or for ``task`` if the dataset has none; ``{title}`` in a
    document's prompt for the document's title, which the text then goes without. See ``models/prompts.py``."""
    task: str = DEFAULT_TASK
    similarity: Similarity | None = None
    """Similarity by which documents are ranked; by default the one that the checkpoint's own files declare, else
    cosine."""
    max_seq_length: TextTokens | None = None
    trust_remote_code: bool = False
    dimensions_kept: Dimensions | None = None
    """Dimensions of each vector that are used, from the first (Matryoshka): ``NAME@dim=128``. If the model's vectors
    have length 1, the shorter vectors are normalized to length 1 again."""
    url: str = ""
    """Base address of an OpenAI-compatible server, with the version: ``http://localhost:8080/v1``."""
    model: str = ""
    """The model's name at that server."""
    api_key_env: str = ""
    """Name of the environment variable that holds the key."""
    query: dict[str, str] = {}
    """Parameters added to every address, for gateways: ``{ api-version = "2024-02-01" }``. ``$NAME`` in a value stands
    for an environment variable."""
    headers: dict[str, str] = {}
    """Headers added to every request, for gateways: ``{ api-key = "$AZURE_KEY" }``."""
    encoding: WireEncoding = "float"
    """Form in which the server is asked to write vectors; base64 is a quarter of the size, but some servers have only
    float."""
    batch_texts: RequestTexts = 32
    batch_tokens: BatchTokens = 8192
    """Texts and tokens of one request, at most; tokens are counted with padding."""
    query_parameters: dict[str, str | FieldInt | FieldFloat | bool] = {}
    document_parameters: dict[str, str | FieldInt | FieldFloat | bool] = {}
    """Further fields of a request, by role, e.g. ``{input_type = "query"}`` for a service that takes the role so."""
    unsent: tuple[Literal["dimensions", "encoding_format"], ...] = ()
    """Fields of OpenAI's request that a service refuses. Without ``dimensions`` it chooses the number itself, and
    the definition's number is only a fact."""
    concurrency: RequestsInFlight = 8
    """Requests in flight at once while texts are encoded; a load profile has its own number."""
    timeout: TimeoutSeconds = 120.0
    """Seconds; limit of one request."""
    patience: str | WaitSeconds = "5 min"
    """How long a server may be loading, out of quota or stopped, without any success in between: ``90 s``, ``5 min``,
    ``1 h``, or a number of seconds."""
    requests_per_minute: RequestsPerMinute | None = None
    """Pace of all requests of a session to the server."""
    retries: Retries = 100
    """Retries of all requests of a session together, at most; waits for a server that is not ready do not count."""
    hardware: str = ""
    """What the server runs on, e.g. ``NVIDIA L4``. Nobody can see it from here."""
    tokenizer: str = ""
    """Folder or Hub id with the model's ``tokenizer.json``, which counts tokens."""
    precision: Precision = "float32"
    """Number format of documents' and queries' vectors: as they are, or 8 bits or 1 bit a dimension: ``NAME@int8``,
    ``NAME@binary``."""

    description: str = ""
    summary: str = ""
    """One sentence for the card's front matter; the description by default."""
    source: str = ""
    base_model: str = ""
    licence: str = ""
    architecture: str = ""
    parameters: Parameters | None = None
    dimensions: Dimensions | None = None
    """Dimensions of a vector. An endpoint is asked for this number; for other models the number is a fact."""
    max_tokens: TextTokens | None = None
    pooling: Literal["", "cls", "mean", "max", "lasttoken", "weightedmean", "mean_sqrt_len_tokens"] = ""
    padding_side: Literal["", "left", "right"] = ""
    normalized: bool | None = None
    """Facts declared of the model: how it pools, on which side it pads, whether its vectors have length 1."""
    matryoshka: tuple[Dimensions, ...] = ()
    """Numbers of dimensions to which the model was trained to be cut."""
    reference: str = ""
    """Name of the model whose vectors this one should give, e.g. an endpoint's local weights."""
    skip_probes: tuple[str, ...] = ()
    """Conformance probes that do not hold for this model, e.g. ``prompts`` where another prompt is meant."""
    canonical_url: str = ""
    provider: str = ""
    """Company or person that makes or serves the model."""
    release_date: IsoDate = ""
    """Day of its release, e.g. ``2021-08-30``."""
    price_per_million_tokens: Price | None = None
    """US dollars; the provider's price of a million tokens. None where there is none, as for open weights."""
    languages: tuple[str, ...] = ()
    """MTEB's codes of the languages that the model is for, e.g. ``eng-Latn``."""

    def __hash__(self) -> int:
        # The parameters are tables, which have no hash of their own.
        return hash(msgspec.json.encode(self))

    @property
    def has_vectors(self) -> bool:
        """Whether models of this kind make vectors."""
        return self.kind not in KINDS_WITHOUT_VECTORS

    @property
    def prompts(self) -> dict[Role, str | None]:
        return {"query": self.query_prompt, "document": self.document_prompt}

    @property
    def request_fields(self) -> dict[Role, dict[str, str | int | float | bool]]:
        return {"query": self.query_parameters, "document": self.document_parameters}

    @property
    def variant(self) -> Variant:
        return Variant(dimensions=self.dimensions_kept, precision=self.precision)

    def shown(self, key: str) -> str:
        """Return the value of a key as messages show it."""
        return "..." if key in KEYS_WITH_SECRETS else repr(getattr(self, key))

    def deciding(self) -> dict[str, Any]:
        """Return the keys that decide a number, those with another value than their default; ``dimensions`` too."""
        default = ModelSpec()
        return {
            name: getattr(self, name)
            for name in self.__struct_fields__
            # What an endpoint is asked for is a mere fact of any other model.
            if name not in KEYS_WITHOUT_EFFECT and not (name == "dimensions" and self.kind != "endpoint")
            if getattr(self, name) != getattr(default, name)
        }


class NamedModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model under the name that the user gave it (``alias``); node ids and tables use that name.

    ``spec`` determines the variant. The alias names it too if the variant was asked for by name (``minilm@int8``), but
    not if it has a definition of its own (``small``).
    """

    alias: str
    spec: ModelSpec
    task: str = ""
    """Instruction of the dataset at hand, for prompts with ``{task}``."""
    titled: bool = False
    """Whether documents come as ``as_given`` writes them, with the part of the prompt that begins with their title."""

    @property
    def variant(self) -> Variant:
        return self.spec.variant

    @property
    def base(self) -> NamedModel:
        """The model as it is loaded, shared by its variants and by all tasks."""
        spec = msgspec.structs.replace(self.spec, dimensions_kept=None, precision="float32")
        return NamedModel(alias=self.alias.removesuffix(str(self.variant)), spec=spec)

    @property
    def name(self) -> str:
        """``org/model`` and the variant, as results and cards write it."""
        base = self.spec.name or self.spec.hub or self.alias.removesuffix(str(self.variant))
        return f"{base}{self.variant}"

    @property
    def names(self) -> list[str]:
        """All names by which checks may refer to the model; those of ``minilm@int8`` all end in ``@int8``."""
        suffix = self.alias.removeprefix(self.base.alias)
        return [self.alias, self.name, *(f"{other}{suffix}" for other in self.spec.aliases)]

    def as_variant(self, variant: Variant) -> NamedModel:
        """Return this model in another variant, which the alias names."""
        spec = msgspec.structs.replace(self.spec, dimensions_kept=variant.dimensions, precision=variant.precision)
        return NamedModel(alias=f"{self.base.alias}{variant}", spec=spec, task=self.task, titled=self.titled)

    def on_task(self, instruction: str) -> NamedModel:
        """Return this model for a dataset with this instruction, and with titles, if its prompts have places for them.

        Documents must then be given to it as ``as_given`` writes them.
        """
        uses_task = any(has_place(prompt, role, "task") for role, prompt in self.spec.prompts.items())
        titled = has_place(self.spec.document_prompt, "document", "title")
        return NamedModel(alias=self.alias, spec=self.spec, task=instruction if uses_task else "", titled=titled)

    @property
    def prompts(self) -> dict[Role, str | None]:
        """Role -> text in front of its texts, the task filled in; None for the prompt that the checkpoint declares.

        A document's prompt with a title ends before it if the model is ``titled``; otherwise no document has a title.
        """
        return {role: prompt and self._prompt(prompt, role) for role, prompt in self.spec.prompts.items()}

    def _prompt(self, prompt: str, role: Role) -> str:
        parts = prompt_parts(prompt, role)
        return filled(split_at_title(parts)[0] if self.titled else parts, self._task)

    @property
    def _task(self) -> str:
        return self.task or self.spec.task

    def as_given(self, dataset: Dataset) -> Dataset:
        """Return the dataset with its documents as the model gets them.

        They change only if the model is ``titled``: each begins with its title, and then has what the prompt says
        between title and text.
        """
        if not self.titled:
            return dataset
        _, rest = split_at_title(prompt_parts(self.spec.document_prompt or "", "document"))
        return dataset.with_doc_texts(
            [f"{filled(rest, self._task, title)}{text}" for title, text in dataset.titles_and_texts()]
        )

    def stated_prompts(self, prompts: Mapping[str, str]) -> dict[str, str]:
        """Return a loaded model's prompts as results state them: with ``{title}`` where documents have their title."""
        if not self.titled:
            return dict(prompts)
        parts = prompt_parts(self.spec.document_prompt or "", "document")
        return {**prompts, "document": stated(parts, self._task)}

    def folder(self) -> Path | None:
        """Return the local folder with the weights; None if they come from the Hub, or there are none."""
        from importlib.util import find_spec

        # The package is located, not imported: only its files are needed.
        if self.spec.package and (package := find_spec(self.spec.package)) and package.origin:
            return Path(package.origin).parent / self.spec.package_folder
        return Path(self.spec.path) if self.spec.path else None
