"""Which model a name means, and the facts known of it; nothing here loads a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec

from pytest_embedbench.datasets.types import Role
from pytest_embedbench.models.variants import Precision, Variant

Encoding = Literal["float", "base64"]

TASK = "{task}"
"""Stands in a prompt for what the dataset's queries ask for."""

RETRIEVE = "Given a web search query, retrieve relevant passages that answer the query"
"""What instructed models are told where a dataset has no instruction of its own: Qwen3-Embedding's own default."""

IsoDate = Annotated[str, msgspec.Meta(pattern=r"^([0-9]{4}-[0-9]{2}-[0-9]{2})?$")]


class ModelSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to load a model and what a card says of it: an entry of the catalogue or of a suite's ``[models.X]``.

    One of ``path`` (a folder), ``package`` (an installed package that carries the weights, see ``package_folder``)
    or ``hub`` (a Hub id) says where a sentence-transformers model comes from; where several are given, a package
    that is installed comes first, since it needs no network. Of a model behind an endpoint, ``url`` and ``model`` do;
    of a Python function, ``callable`` does.
    """

    kind: Literal["sentence-transformers", "bm25", "endpoint", "callable"] = "sentence-transformers"
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
    callable: str = ""
    """Import path of a Python function, ``package.module:function``: of texts and a role (``"query"`` or
    ``"document"``), to vectors."""
    backend: Literal["torch", "onnx", "openvino"] = "torch"
    """What runs a sentence-transformers model."""
    backend_file: str = ""
    """Which of the model's files that backend is to load, e.g. ``onnx/model_qint8_avx2.onnx``."""
    query_prompt: str | None = None
    document_prompt: str | None = None
    """Text put before every query or document; absent: the prompt that the checkpoint's own files declare. ``{task}``
    in it stands for the dataset's instruction, or for ``task`` where the dataset has none."""
    task: str = RETRIEVE
    max_seq_length: Annotated[int, msgspec.Meta(ge=1)] | None = None
    trust_remote_code: bool = False
    dimensions_kept: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """Only the first so many dimensions of each vector are used (Matryoshka): ``NAME@dim=128``. Vectors that the model
    gives with length 1 are brought to length 1 again."""
    url: str = ""
    """Base address of an OpenAI-compatible server, with the version: ``http://localhost:8080/v1``."""
    model: str = ""
    """The model's name at that server."""
    api_key_env: str = ""
    """Name of the environment variable that holds the key."""
    encoding: Encoding = "float"
    """How the server is asked to write vectors; base64 is a quarter of the size, and some servers know only numbers."""
    batch_texts: Annotated[int, msgspec.Meta(ge=1)] = 32
    batch_tokens: Annotated[int, msgspec.Meta(ge=1)] = 8192
    """What one request may hold at most; tokens with padding."""
    query_parameters: dict[str, str | int | float | bool] = {}
    document_parameters: dict[str, str | int | float | bool] = {}
    """Further fields of a request, by role: ``{input_type = "query"}`` where a service takes the role so."""
    unsent: tuple[Literal["dimensions", "encoding_format"], ...] = ()
    """Fields of OpenAI's request that a service refuses; it gives its own ``dimensions``, which are then a fact."""
    concurrency: Annotated[int, msgspec.Meta(ge=1)] = 8
    """Requests under way at once while texts are encoded; a load profile has its own number."""
    timeout: Annotated[float, msgspec.Meta(gt=0)] = 120.0
    """Seconds for one request."""
    retries: Annotated[int, msgspec.Meta(ge=0)] = 100
    """How many retries all requests of a session together may take."""
    tokenizer: str = ""
    """Folder or Hub id with the model's ``tokenizer.json``, to count tokens with."""
    precision: Precision = "float32"
    """How documents' and queries' vectors are kept: as they are, or in 8 or 1 bits a dimension: ``NAME@int8``,
    ``NAME@binary``."""

    description: str = ""
    summary: str = ""
    """One sentence for the card's front matter; the description where absent."""
    source: str = ""
    base_model: str = ""
    licence: str = ""
    architecture: str = ""
    parameters: int | None = None
    dimensions: int | None = None
    """Of an endpoint they are asked for; of other models they are a fact."""
    max_tokens: int | None = None
    pooling: Literal["", "cls", "mean", "max", "lasttoken", "weightedmean", "mean_sqrt_len_tokens"] = ""
    padding_side: Literal["", "left", "right"] = ""
    normalized: bool | None = None
    """What the model is said to do: how it pools, on which side it pads, whether its vectors have length 1."""
    matryoshka: tuple[Annotated[int, msgspec.Meta(ge=1)], ...] = ()
    """Numbers of dimensions that the model was trained to be cut to."""
    reference: str = ""
    """The model whose vectors this one should have, e.g. an endpoint's local weights."""
    skip_probes: tuple[str, ...] = ()
    """Conformance probes that do not hold for this model, e.g. ``prompts`` where another prompt is meant."""
    canonical_url: str = ""
    provider: str = ""
    """Who makes or serves the model."""
    release_date: IsoDate = ""
    """The day on which it came out, as ``2021-08-30``."""
    price_per_million_tokens: Annotated[float, msgspec.Meta(ge=0)] | None = None
    """What its provider asks for a million tokens, in US dollars; None where there is no price, as for open weights."""
    languages: tuple[str, ...] = ()
    """Languages that it is made for, as MTEB's codes, e.g. ``eng-Latn``."""

    def __hash__(self) -> int:
        # The parameters are tables, which have no hash of their own.
        return hash(msgspec.json.encode(self))

    @property
    def prompts(self) -> dict[Role, str | None]:
        return {"query": self.query_prompt, "document": self.document_prompt}

    @property
    def request_fields(self) -> dict[Role, dict[str, str | int | float | bool]]:
        return {"query": self.query_parameters, "document": self.document_parameters}

    @property
    def variant(self) -> Variant:
        return Variant(dimensions=self.dimensions_kept, precision=self.precision)


class NamedModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model under the name that the user gave it (``alias``); node ids and tables use that name.

    ``spec`` says which variant of the model is meant. A variant asked for by name has it in its alias too
    (``minilm@int8``); one with a definition of its own need not (``small``).
    """

    alias: str
    spec: ModelSpec
    task: str = ""
    """The instruction of the dataset that it is to work on, for prompts with ``{task}``."""

    @property
    def variant(self) -> Variant:
        return self.spec.variant

    @property
    def base(self) -> NamedModel:
        """The model as it is loaded: its variants share it, and all tasks do."""
        spec = msgspec.structs.replace(self.spec, dimensions_kept=None, precision="float32")
        return NamedModel(alias=self.alias.removesuffix(str(self.variant)), spec=spec)

    @property
    def name(self) -> str:
        """``org/model`` and the variant, as results and cards write it."""
        base = self.spec.name or self.spec.hub or self.alias.removesuffix(str(self.variant))
        return f"{base}{self.variant}"

    @property
    def names(self) -> list[str]:
        """Every name by which checks may speak of it; those of ``minilm@int8`` all end in ``@int8``."""
        asked = self.alias.removeprefix(self.base.alias)
        return [self.alias, self.name, *(f"{other}{asked}" for other in self.spec.aliases)]

    def as_variant(self, variant: Variant) -> NamedModel:
        """This model with another variant, which its alias says."""
        spec = msgspec.structs.replace(self.spec, dimensions_kept=variant.dimensions, precision=variant.precision)
        return NamedModel(alias=f"{self.base.alias}{variant}", spec=spec, task=self.task)

    def on_task(self, instruction: str) -> NamedModel:
        """This model told what a dataset's queries ask for, if its prompts say that."""
        told = instruction if any(TASK in (prompt or "") for prompt in self.spec.prompts.values()) else ""
        return NamedModel(alias=self.alias, spec=self.spec, task=told)

    @property
    def prompts(self) -> dict[Role, str | None]:
        """The text before every query and document with the task in it; None: what the checkpoint declares."""
        task = self.task or self.spec.task
        return {role: prompt and prompt.replace(TASK, task) for role, prompt in self.spec.prompts.items()}

    def folder(self) -> Path | None:
        """The local folder with the weights, or None where they come from the Hub (or there are none)."""
        from importlib.util import find_spec

        if self.spec.package and (found := find_spec(self.spec.package)) and found.origin:
            return Path(found.origin).parent / self.spec.package_folder
        return Path(self.spec.path) if self.spec.path else None
