"""The direction of attention: a causal model's tokens see only those before them, a bidirectional one's see all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

from pytest_embedbench.conformance.outcome import Probe, ProbeOutcome, judged, skipped
from pytest_embedbench.conformance.samples import OTHER_WORDS, WORDS
from pytest_embedbench.conformance.subject import Subject
from pytest_embedbench.models.protocol import TransformerEncoder

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from pytest_embedbench.models.protocol import Vectors

Direction = Literal["causal", "bidirectional"]

CAUSAL_TYPES = {
    "bloom", "cohere", "cohere2", "falcon", "gemma", "gemma2", "gemma3", "gemma3_text", "gpt2", "gpt_neo", "gpt_neox",
    "gptj", "granite", "llama", "ministral", "mistral", "mixtral", "olmo", "olmo2", "olmo3", "opt", "phi", "phi3",
    "qwen2", "qwen3", "qwen3_moe", "smollm3", "stablelm", "starcoder2",
}  # fmt: skip
BIDIRECTIONAL_TYPES = {
    "albert", "bert", "big_bird", "camembert", "deberta", "deberta-v2", "distilbert", "electra", "ernie", "esm",
    "eurobert", "flaubert", "funnel", "layoutlm", "longformer", "luke", "mobilebert", "modernbert", "mpnet", "mra",
    "nomic_bert", "nystromformer", "rembert", "roberta", "roberta-prelayernorm", "roformer", "squeezebert", "xlm",
    "xlm-roberta", "xlm-roberta-xl", "xmod", "yoso",
}  # fmt: skip
"""transformers' ``model_type`` of models that attend in this direction unless a setting says otherwise."""

FOUND = {
    (False, True): "causal",
    (True, True): "bidirectional",
    (True, False): "to later tokens only",
    (False, False): "to no other token",
}
"""Words for whether a change moves earlier tokens, and later ones."""

MAX_MOVE = {"fp32": 1e-4, "fp16": 5e-3, "bf16": 3e-2}
"""Share of a state's length; by number format, how far rounding moves the state of a token."""

TEXT_WORDS = 12
"""Words of the text."""


def _direction(subject: Subject) -> ProbeOutcome:
    model = subject.model
    if not isinstance(model, TransformerEncoder):
        return skipped(
            "the direction is seen in the states of tokens, and only local models give them; where reference names the "
            "weights, parity compares the vectors"
        )
    settings = model.settings
    expected = _catalogued(subject) or declared_direction(settings)
    if expected is None:
        kind = settings.get("model_type")
        return skipped(f"nothing says what it should be for {kind!r}" if kind else "it has no transformer")
    moved = _moved(model)
    if moved is None:
        return skipped("it gives no states of tokens")
    limit = MAX_MOVE.get(subject.facts.dtype, max(MAX_MOVE.values()))
    found = FOUND[moved.earlier > limit, moved.later > limit]
    return judged(
        [] if found == expected else [f"its attention is {found}, and should be {expected}"],
        cause="another architecture was loaded for these weights; is_causal, is_decoder or use_bidirectional_attention "
        "in config.json was edited; or a library does not know this setting",
        fix='take config.json from the original checkpoint; where the difference is meant: skip_probes = ["direction"]',
        measured=found,
        limit=f"= {expected}",
        value=moved.earlier,
        values={"earlier tokens moved": moved.earlier, "later tokens moved": moved.later},
    )


class _Moved(NamedTuple):
    """How far a change moves the state of another token, at most, as a share of the state's length."""

    earlier: float
    """A token before the change: only bidirectional attention does that."""
    later: float
    """A token behind it."""


def _moved(model: TransformerEncoder) -> _Moved | None:
    """Change the last word of a text, then the first one; None if the model gives no states."""
    words = WORDS[:TEXT_WORDS]
    texts = [words, [*words[:-1], OTHER_WORDS[0]], [OTHER_WORDS[0], *words[1:]]]
    prepared = model.prepare([" ".join(text) for text in texts], "document")
    states = [model.token_states(text) for text in prepared]
    base, last, first = states
    if base is None or last is None or first is None:
        return None
    ids = [list(text.payload) for text in prepared]
    same_start, same_end = _equal_at_start(ids[0], ids[1]), _equal_at_start(ids[0][::-1], ids[2][::-1])
    return _Moved(
        earlier=_largest_move(base[:same_start], last[:same_start]),
        later=_largest_move(base[::-1][:same_end], first[::-1][:same_end]),
    )


def _equal_at_start(first: Sequence[int], second: Sequence[int]) -> int:
    """Return the number of tokens at the start that are equal."""
    pairs = enumerate(zip(first, second, strict=False))
    return next((at for at, (one, two) in pairs if one != two), min(len(first), len(second)))


def _largest_move(before: Vectors, after: Vectors) -> float:
    import numpy as np

    lengths = np.linalg.norm(before.astype(np.float64), axis=1)
    moves = np.linalg.norm(before.astype(np.float64) - after, axis=1) / np.maximum(lengths, 1e-12)
    return float(moves.max(initial=0.0))


def _catalogued(subject: Subject) -> Direction | None:
    """Return the direction of the architecture that the catalogue names for the model; None if it does not say."""
    known = subject.declared.architecture if subject.declared else ""
    return _of_type(known.lower().replace(" ", ""))


def declared_direction(settings: Mapping[str, Any]) -> Direction | None:
    """Return the direction that a transformer's settings declare; None if they do not say."""
    if settings.get("use_bidirectional_attention") or settings.get("is_causal") is False:
        return "bidirectional"
    if settings.get("is_decoder"):
        return "causal"
    return _of_type(str(settings.get("model_type", "")))


def _of_type(name: str) -> Direction | None:
    if name in CAUSAL_TYPES:
        return "causal"
    return "bidirectional" if name in BIDIRECTIONAL_TYPES else None


PROBES = (Probe("direction", "Does its attention look in the direction that its architecture declares?", _direction),)
