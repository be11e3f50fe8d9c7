"""Models that are Python functions from texts and a role (``"query"`` or ``"document"``) to vectors."""

from __future__ import annotations

import hashlib
import inspect
import traceback
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from pytest_embedbench.core.similarity import DEFAULT_SIMILARITY
from pytest_embedbench.datasets.types import ROLES, Role
from pytest_embedbench.errors import ModelError, closest
from pytest_embedbench.models.checkpoint import TokenCounter, served_token_counter
from pytest_embedbench.models.imported_code import source_files
from pytest_embedbench.models.libraries import distributions, software
from pytest_embedbench.models.protocol import ModelFacts, PreparedText, check_vectors, without_empty
from pytest_embedbench.models.registry import LoadOptions, ModelKind, SourceCache
from pytest_embedbench.models.sample_texts import SAMPLE_TEXTS, UNIT_LENGTH_TOLERANCE
from pytest_embedbench.models.served.token_counts import (
    CHARACTERS_PER_TOKEN,
    CUTTING_LIBRARIES,
    RequestTokenCounter,
    UsageCounter,
    cutting_tokenizer,
    request_token_counter,
)
from pytest_embedbench.models.source import ModelSource

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from pytest_embedbench.models.protocol import Vectors
    from pytest_embedbench.models.spec import NamedModel

    Encode = Callable[[Sequence[str], Role], ArrayLike]

ESTIMATE_NOTICE = (
    f"a function does not tell its tokens: each {CHARACTERS_PER_TOKEN} characters count as one; "
    "give its definition a tokenizer to count them"
)


class CallableModel:
    """An ``Encoder`` over a function from texts and a role to vectors, shape (texts, dimensions).

    The function is called by one thread at a time, not necessarily the main one.

    Args:
        encode: the function; each text has its prompt in front.
        name: the function's name in messages.
        counter: counts tokens; None to estimate them by characters.
        prompts: role -> text in front of each text.
        facts: facts of the model that are known already.
    """

    foreign = True

    def __init__(
        self,
        encode: Encode,
        name: str = "the model",
        *,
        counter: RequestTokenCounter | None = None,
        prompts: Mapping[Role, str | None] | None = None,
        facts: ModelFacts | None = None,
    ) -> None:
        self._encode, self._name = encode, name
        self._counter = counter or UsageCounter()
        self._facts = facts or ModelFacts(similarity=DEFAULT_SIMILARITY)
        self._dimensions = self._facts.dimensions
        self._prompt_with(prompts or {})

    @property
    def facts(self) -> ModelFacts:
        return self._facts

    def with_prompts(self, prompts: Mapping[Role, str | None]) -> CallableModel:
        """Return the same function under other prompts."""
        prompted = copy(self)
        prompted._prompt_with(prompts)  # noqa: SLF001 - our own class's
        return prompted

    def _prompt_with(self, prompts: Mapping[Role, str | None]) -> None:
        self._prompts: dict[Role, str] = {role: prompts.get(role) or "" for role in ROLES}
        self._facts = msgspec.structs.replace(self._facts, prompts=without_empty(self._prompts))

    def prepare(self, texts: Sequence[str], role: Role) -> list[PreparedText]:
        """Put the role's prompt in front and count tokens; with a tokenizer, also cut at ``max_seq_length``."""
        return self._counter.prepare(texts, self._prompts[role])

    def forward(self, batch: Sequence[PreparedText], role: Role) -> Vectors:
        """Return the batch's vectors, shape (texts, dimensions), float32.

        Raises:
            ModelError: the function returned something else, or vectors of other dimensions than before.
        """
        output = self._encode([text.payload.text for text in batch], role)
        fix = "return an array with one row a text, shape (texts, dimensions); of a tensor, .detach().cpu().numpy()"
        try:
            vectors = np.asarray(output, dtype=np.float32)
        except Exception as error:  # arrays of each library raise their own errors
            problem = f"{self._name} gave a {type(output).__name__} that is no array of numbers ({_first_line(error)})"
            raise ModelError(problem, fix=fix) from error
        if vectors.ndim != 2 or not vectors.shape[1]:  # noqa: PLR2004 - a table
            shape = f"an array of shape {vectors.shape}" if vectors.ndim else f"a {type(output).__name__}"
            raise ModelError(f"{self._name} gave {shape} for {len(batch)} texts", fix=fix)
        if len(vectors) != len(batch):
            raise ModelError(f"{self._name} gave {len(vectors)} vectors for {len(batch)} texts", fix=fix)
        self._dimensions = self._dimensions or vectors.shape[1]
        if vectors.shape[1] != self._dimensions:
            problem = f"{self._name} gave vectors of {vectors.shape[1]} dimensions, earlier ones had {self._dimensions}"
            raise ModelError(problem, fix="give queries and documents vectors of the same length")
        return vectors


def load_callable(model: NamedModel) -> CallableModel:
    """Import the definition's function and return it as a model; its vectors of ``SAMPLE_TEXTS`` give the dimensions.

    Raises:
        ModelError: the function cannot be imported or gives no vectors, or the tokenizer cannot be found.
    """
    spec, name = model.spec, _name(model)
    function = _import_function(model)
    vectors = np.concatenate(_sample_vectors(function, name))
    facts = ModelFacts(
        dimensions=vectors.shape[1],
        normalized=bool((np.abs(np.linalg.norm(vectors, axis=1) - 1) < UNIT_LENGTH_TOLERANCE).all()),
        similarity=spec.similarity or DEFAULT_SIMILARITY,
        max_tokens=spec.max_seq_length or spec.max_tokens,
        notices=() if spec.tokenizer else (ESTIMATE_NOTICE,),
    )
    counter = request_token_counter(model) if spec.tokenizer else None
    return CallableModel(function, name, counter=counter, prompts=model.prompts, facts=facts)


def callable_fingerprint(model: NamedModel) -> str:
    """Return a digest that stands for a function's code and weights.

    It is the sha256 of the function's import path and of the files that define it: the module of the import path, the
    module in which the function itself stands, and every module of the user's own that these import, directly or not.
    Libraries count by their version (``ModelSource.software``). Whatever else the function reads (weights, files,
    variables, a service) cannot be seen from here, so a ``revision`` in the definition is taken to identify it. Without
    a revision, the digest also covers the function's vectors of ``SAMPLE_TEXTS`` for both roles, bit for bit: where
    they differ, nothing stored is used again. The results of a function whose vectors differ from call to call are
    therefore never used again without a ``revision``.

    Raises:
        ModelError: as ``load_callable``.
    """
    return _locate(model).fingerprint


def _locate(model: NamedModel) -> ModelSource:
    spec = model.spec
    function = _import_function(model)
    tokenizer = cutting_tokenizer(model)
    digest = hashlib.sha256(msgspec.json.encode([spec.callable, spec.revision, tokenizer]))
    code = source_files(_modules(spec.callable.partition(":")[0], function))
    for module, file in sorted(code.own.items()):
        digest.update(module.encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    if not spec.revision:
        for vectors in _sample_vectors(function, _name(model)):
            # Little-endian, so that the digest does not depend on the machine's byte order.
            digest.update(np.ascontiguousarray(vectors, "<f4").tobytes())
    libraries = [*distributions(code.libraries), *(CUTTING_LIBRARIES if tokenizer else ())]
    return ModelSource(None, spec.revision, digest.hexdigest(), software(libraries, numeric=True))


def _import_function(model: NamedModel) -> Encode:
    path, name = model.spec.callable, _name(model)
    module, _, attributes = path.partition(":")
    try:
        value: Any = import_module(module)
    # SystemExit too: a module written as a script may call sys.exit() when it is imported.
    except (Exception, SystemExit) as error:
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        # The module itself is missing, or a package around it; otherwise one that it imports is.
        if missing and f"{module}.".startswith(f"{missing}."):
            fix = "install it, or put its folder on Python's path: pythonpath = [\".\"] in pytest's settings does that"
            raise ModelError(f"there is no module {missing!r}", where=name, fix=fix) from None
        problem = f"{module} cannot be imported: {_first_line(error)}{_location(error)}"
        raise ModelError(problem, where=name) from error
    for attribute in attributes.split("."):
        if not hasattr(value, attribute):
            public = [known for known in dir(value) if not known.startswith("_")]
            problem = f"{getattr(value, '__name__', type(value).__name__)} has no {attribute!r}"
            raise ModelError(problem, where=name, fix=closest(attribute, public))
        value = getattr(value, attribute)
    if inspect.isclass(value):
        fix = f"make one in the module, and give its method: {module}:NAME.encode"
        raise ModelError(f"{name} is a class, not a function", fix=fix)
    if not callable(value):
        fix = 'give a function of texts and a role ("query" or "document")'
        raise ModelError(f"{name} is a {type(value).__name__}, not a function", fix=fix)
    function: Encode = value
    return function


def _name(model: NamedModel) -> str:
    path = model.spec.callable
    return f"model {path}" if model.base.alias == path else f"model {model.alias!r} ({path})"


def _first_line(error: BaseException) -> str:
    return ": ".join([type(error).__name__, *str(error).splitlines()[:1]])


def _location(error: BaseException) -> str:
    """Return the file and line where an import failed; empty for a syntax error, whose own message has them."""
    frames = traceback.extract_tb(error.__traceback__)
    if isinstance(error, SyntaxError) or not frames:
        return ""
    return f" ({frames[-1].filename}:{frames[-1].lineno})"


def _sample_vectors(function: Encode, name: str) -> list[Vectors]:
    """Return the vectors of ``SAMPLE_TEXTS`` as queries and as documents, without prompts."""
    model = CallableModel(function, name)
    by_role = []
    for role in ROLES:
        vectors = model.forward(model.prepare(SAMPLE_TEXTS, role), role)
        try:
            check_vectors(vectors, SAMPLE_TEXTS, role)
        except ModelError as error:
            raise ModelError(str(error), where=name) from None
        by_role.append(vectors)
    return by_role


def _modules(module: str, function: Any) -> list[str]:
    """Return the module of a function's import path, and that of its definition."""
    # Partials and decorators lie in other modules than the function that they wrap.
    inner = function
    while isinstance(inner, partial):
        inner = inner.func
    return sorted({module, getattr(inspect.unwrap(inner), "__module__", None) or module})


class CallableKind(ModelKind):
    """Functions at an import path."""

    def locate(self, model: NamedModel) -> ModelSource:
        return _locate(model)

    def load(self, model: NamedModel, sources: SourceCache, options: LoadOptions) -> CallableModel:  # noqa: ARG002 - no files
        return load_callable(model)

    def token_counter(self, model: NamedModel) -> TokenCounter:
        return served_token_counter(model)


KIND = CallableKind()
