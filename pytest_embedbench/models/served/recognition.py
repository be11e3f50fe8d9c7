"""Vectors of the sample texts, by which a server's model is recognised; and what is wrong where it gives none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from pytest_embedbench.errors import ModelError
from pytest_embedbench.models.sample_texts import SAMPLE_TEXTS
from pytest_embedbench.models.served.refusals import is_refusal
from pytest_embedbench.models.served.requests import RequestError
from pytest_embedbench.models.text_errors import UnusableTextsError

if TYPE_CHECKING:
    from concurrent.futures import Future

    from pytest_embedbench.datasets.types import Role
    from pytest_embedbench.models.protocol import AnsweredBatch, PreparedText, Vectors
    from pytest_embedbench.models.spec import ModelSpec

MIN_SENTENCES = 5
"""Sentences of the long sample text that are left when a server refuses more."""


class Recognised(Protocol):
    """A served model that is asked for vectors of the sample texts."""

    where: str

    def prepare_plain(self, texts: Sequence[str]) -> list[PreparedText]: ...

    def forward(self, batch: Sequence[PreparedText], role: Role) -> Vectors: ...

    def submit(
        self, batch: Sequence[PreparedText], role: Role, *, unsent: Sequence[str] = ()
    ) -> Future[AnsweredBatch]: ...


def recognise(model: Recognised, spec: ModelSpec) -> Vectors:
    """Return the vectors of the sample texts, shape (texts, dimensions); they are sent as any other text.

    Where the server refuses the longest of them, its beginning stands for it.

    Raises:
        ModelError: the server does not answer, or not as it should.
    """
    try:
        vectors = _sample_vectors(model)
    except UnusableTextsError as error:
        _explain_refusal(model, spec)
        if len(error.texts) == len(SAMPLE_TEXTS):
            problem = error.texts[0].problem.replace("{}", "every text", 1)
            fix = "check the model's name, its address and the server's log"
            raise ModelError(f"{spec.url}: {problem}", where=model.where, fix=fix) from None
        raise error.saying("this text is not the dataset's: every endpoint is recognised by it") from None
    if spec.dimensions not in {None, vectors.shape[1]}:
        problem = f"{spec.dimensions} dimensions were asked for, {vectors.shape[1]} came"
        raise ModelError(problem, where=model.where, fix=_dimensions_fix(model, spec))
    return vectors


def _sample_vectors(model: Recognised) -> Vectors:
    *short, long = SAMPLE_TEXTS
    sentences = long.split(". ")
    while True:
        texts = [*short, ". ".join(sentences)]
        try:
            return model.forward(model.prepare_plain(texts), "document")
        except UnusableTextsError as error:
            refused = [unusable.text for unusable in error.texts]
            if refused != texts[-1:] or len(sentences) <= MIN_SENTENCES:
                raise
            sentences = sentences[: len(sentences) // 2]


def _explain_refusal(model: Recognised, spec: ModelSpec) -> None:
    """Find out whether a server refuses a field of the request, by leaving it out.

    Raises:
        ModelError: it does; the message names the field and the key.
    """
    fields: dict[str, Callable[[], str]] = {
        "dimensions": lambda: _dimensions_fix(model, spec),
        "encoding_format": lambda: 'add unsent = ["encoding_format"] to its definition',
    }
    text = model.prepare_plain(SAMPLE_TEXTS[:1])
    for field, fix in fields.items():
        if field in spec.unsent or (field == "dimensions" and not spec.dimensions):
            continue
        try:
            model.submit(text, "document").result()
        except RequestError as error:
            if not is_refusal(error.cause):
                return
            refusal = error
        except ModelError:
            return
        else:
            return
        try:
            model.submit(text, "document", unsent=[field]).result()
        except ModelError:
            continue
        value = spec.dimensions if field == "dimensions" else spec.encoding
        problem = f"the server refuses the field {field} ({value}) of the request: {refusal.cause.problem}"
        raise ModelError(problem, where=model.where, fix=fix()) from None


def _dimensions_fix(model: Recognised, spec: ModelSpec) -> str:
    name = model.where.removeprefix("model ").strip("'")
    return f"leave dimensions out and cut them here, as {name}@dim={spec.dimensions}"
