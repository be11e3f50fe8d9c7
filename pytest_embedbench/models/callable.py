"""Models that are Python functions: of texts and a role (``"query"`` or ``"document"``), to vectors."""

from __future__ import annotations

import hashlib
import inspect
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from pytest_embedbench.datasets.types import ROLES, Role
from pytest_embedbench.errors import ModelError, closest
from pytest_embedbench.models.protocol import ModelFacts, PreparedText, refuse_broken, spoken
from pytest_embedbench.models.sample_texts import PROBE, UNIT
from pytest_embedbench.models.served.token_counts import CHARACTERS_PER_TOKEN, Counter, UsageCounter, counter

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from pytest_embedbench.models.protocol import Vectors
    from pytest_embedbench.models.spec import NamedModel

    Encode = Callable[[Sequence[str], Role], ArrayLike]

ESTIMATED = (
    f"a function does not tell its tokens: each {CHARACTERS_PER_TOKEN} characters count as one; "
    "give its definition a tokenizer to count them"
)


class CallableModel:
    """An ``Encoder`` over a function of texts and a role, which gives their vectors, shape (texts, dimensions).

    The function gets the prompt and the text as one. It is called by one thread at a time, which need not be the main
    one. ``name`` is what messages call it. Without a ``counter`` tokens are estimated by characters.
    """

    def __init__(
        self,
        encode: Encode,
        name: str = "the model",
        *,
        counter: Counter | None = None,
        prompts: Mapping[Role, str | None] | None = None,
        facts: ModelFacts | None = None,
    ) -> None:
        self._encode, self._name = encode, name
        self._counter = counter or UsageCounter()
        self._facts = facts or ModelFacts()
        self._dimensions = self._facts.dimensions
        self._prompt_with(prompts or {})

    @property
    def facts(self) -> ModelFacts:
        return self._facts

    def with_prompts(self, prompts: Mapping[Role, str | None]) -> CallableModel:
        """The same function under other prompts."""
        told = copy(self)
        told._prompt_with(prompts)  # noqa: SLF001 - our own class's
        return told

    def _prompt_with(self, prompts: Mapping[Role, str | None]) -> None:
        self._prompts: dict[Role, str] = {role: prompts.get(role) or "" for role in ROLES}
        self._facts = msgspec.structs.replace(self._facts, prompts=spoken(self._prompts))

    def prepare(self, texts: Sequence[str], role: Role) -> list[PreparedText]:
        """Put the role's prompt in front and count tokens; with a tokenizer, also cut at ``max_seq_length``."""
        return self._counter.prepare(texts, self._prompts[role])

    def forward(self, batch: Sequence[PreparedText], role: Role) -> Vectors:
        """Vectors of the batch, shape (texts, dimensions), float32.

        Raises:
            ModelError: what the function gave are not that many vectors, or not of the dimensions that others had.
        """
        given = self._encode([text.payload.text for text in batch], role)
        fix = "return an array with one row a text, shape (texts, dimensions); of a tensor, .detach().cpu().numpy()"
        try:
            vectors = np.asarray(given, dtype=np.float32)
        except Exception as error:  # each library's arrays raise what they like
            message = f"{self._name} gave a {type(given).__name__} that is no array of numbers ({_told(error)})"
            raise ModelError(f"{message}\n  fix: {fix}") from error
        if vectors.ndim != 2 or not vectors.shape[1]:  # noqa: PLR2004 - a table
            what = f"an array of shape {vectors.shape}" if vectors.ndim else f"a {type(given).__name__}"
            message = f"{self._name} gave {what} for {len(batch)} texts"
            raise ModelError(f"{message}\n  fix: {fix}")
        if len(vectors) != len(batch):
            raise ModelError(f"{self._name} gave {len(vectors)} vectors for {len(batch)} texts\n  fix: {fix}")
        self._dimensions = self._dimensions or vectors.shape[1]
        if vectors.shape[1] != self._dimensions:
            message = f"{self._name} gave vectors of {vectors.shape[1]} dimensions, earlier ones had {self._dimensions}"
            raise ModelError(f"{message}\n  fix: give queries and documents vectors of the same length")
        return vectors


def load_callable(model: NamedModel) -> CallableModel:
    """The function at the definition's import path; it is asked for a few texts, which show what vectors it gives.

    Raises:
        ModelError: it cannot be imported, or gives no vectors; or the tokenizer is not to be had.
    """
    spec, name = model.spec, _name(model)
    function = _imported(model)
    vectors = np.concatenate(_probed(function, name))
    facts = ModelFacts(
        dimensions=vectors.shape[1],
        normalized=bool((np.abs(np.linalg.norm(vectors, axis=1) - 1) < UNIT).all()),
        max_tokens=spec.max_seq_length or spec.max_tokens,
        notices=() if spec.tokenizer else (ESTIMATED,),
    )
    counts = counter(model) if spec.tokenizer else None
    return CallableModel(function, name, counter=counts, prompts=model.prompts, facts=facts)


def callable_fingerprint(model: NamedModel) -> str:
    """What stands for a function's code and weights: sha256 of its import path and of the files that define it.

    These are the module of the import path and the one where the function itself stands. What else the function uses
    (other modules, weights, a service) nobody here can see. A ``revision`` in the definition is taken to say it.
    Without one, the function's vectors of ``PROBE``, for both roles, go in, bit for bit: where they differ, nothing
    stored is used again. Of a function that does not repeat itself nothing ever is, unless there is a ``revision``.

    Raises:
        ModelError: as ``load_callable``.
    """
    spec = model.spec
    function = _imported(model)
    digest = hashlib.sha256(msgspec.json.encode([spec.callable, spec.revision, spec.tokenizer]))
    for module, content in _sources(spec.callable.partition(":")[0], function).items():
        digest.update(module.encode() + b"\0" + content)
    if not spec.revision:
        for vectors in _probed(function, _name(model)):
            digest.update(np.ascontiguousarray(vectors, "<f4").tobytes())
    return digest.hexdigest()


def _imported(model: NamedModel) -> Encode:
    path, name = model.spec.callable, _name(model)
    module, _, attributes = path.partition(":")
    try:
        found: Any = import_module(module)
    except (Exception, SystemExit) as error:
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing and f"{module}.".startswith(f"{missing}."):
            fix = "install it, or put its folder on Python's path: pythonpath = [\".\"] in pytest's settings does that"
            raise ModelError(f"{name}: there is no module {missing!r}\n  fix: {fix}") from None
        raise ModelError(f"{name}: {module} cannot be imported: {_told(error)}{_place(error)}") from error
    for attribute in attributes.split("."):
        if not hasattr(found, attribute):
            public = [known for known in dir(found) if not known.startswith("_")]
            problem = f"{getattr(found, '__name__', type(found).__name__)} has no {attribute!r}"
            raise ModelError(f"{name}: {problem}\n  fix: {closest(attribute, public)}")
        found = getattr(found, attribute)
    if inspect.isclass(found):
        fix = f"make one in the module, and give its method: {module}:NAME.encode"
        raise ModelError(f"{name} is a class, not a function\n  fix: {fix}")
    if not callable(found):
        fix = 'give a function of texts and a role ("query" or "document")'
        raise ModelError(f"{name} is a {type(found).__name__}, not a function\n  fix: {fix}")
    function: Encode = found
    return function


def _name(model: NamedModel) -> str:
    path = model.spec.callable
    return f"model {path}" if model.base.alias == path else f"model {model.alias!r} ({path})"


def _told(error: BaseException) -> str:
    return ": ".join([type(error).__name__, *str(error).splitlines()[:1]])


def _place(error: BaseException) -> str:
    """Where an import failed: of a syntax error its own message says it."""
    frames = traceback.extract_tb(error.__traceback__)
    if isinstance(error, SyntaxError) or not frames:
        return ""
    return f" ({frames[-1].filename}:{frames[-1].lineno})"


def _probed(function: Encode, name: str) -> list[Vectors]:
    """Vectors of ``PROBE`` as queries and as documents, without prompts."""
    model = CallableModel(function, name)
    found = []
    for role in ROLES:
        vectors = model.forward(model.prepare(PROBE, role), role)
        try:
            refuse_broken(vectors, PROBE, role)
        except ModelError as error:
            raise ModelError(f"{name}: {error}") from None
        found.append(vectors)
    return found


def _sources(module: str, function: Any) -> dict[str, bytes]:
    """The content of the files of a function's module and of that where it is defined, by module."""
    inner = function
    while isinstance(inner, partial):
        inner = inner.func
    defined = getattr(inspect.unwrap(inner), "__module__", None) or module
    found = {}
    for name in sorted({module, defined}):
        path = getattr(sys.modules.get(name), "__file__", None)
        if path and Path(path).is_file():
            found[name] = hashlib.sha256(Path(path).read_bytes()).digest()
    return found
