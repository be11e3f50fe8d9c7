"""Cached texts are not encoded again; whatever decides a vector decides whether it is in the cache."""

from __future__ import annotations

import random
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest

from pytest_embedbench.encode.cache import SpaceKey, default_folder, text_digest
from pytest_embedbench.encode.cache_file import FRESH_SECONDS
from pytest_embedbench.encode.lookup import CachedVectors
from pytest_embedbench.encode.loop import encode
from pytest_embedbench.encode.progress import SilentProgress
from pytest_embedbench.errors import ModelError
from pytest_embedbench.models.protocol import ModelFacts, PreparedText

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_embedbench.datasets.types import Role
    from pytest_embedbench.models.protocol import Vectors
    from tests.encode.conftest import Desk

TEXTS = ["one", "two", "three", "", "three", "\ud800 half a character", "a\0b", "日本", "x" * 100]


def test_what_was_encoded_is_not_encoded_again(desk: Desk) -> None:
    first, _ = desk.run(TEXTS)
    again, model = desk.run(TEXTS)
    assert model.tokenized == model.encoded == []
    assert again.vectors.tobytes() == first.vectors.tobytes()
    assert again.vectors.dtype == np.float32
    assert again.indices == first.indices
    assert (again.own_tokens, again.tokens) == (first.own_tokens, first.tokens)
    assert (first.cached_texts, first.cached_own_tokens) == (0, 0)
    assert (again.cached_texts, again.cached_own_tokens) == (len(set(TEXTS)), first.own_tokens)
    assert again.padded_tokens == 0
    assert desk.notes == []


def test_one_changed_text_is_encoded_alone(desk: Desk) -> None:
    first, _ = desk.run(TEXTS)
    changed, model = desk.run(["one", "TWO!", *TEXTS[2:]])
    assert model.tokenized == model.encoded == ["TWO!"]
    assert changed.own_tokens == first.own_tokens + 1
    assert (changed.cached_texts, changed.cached_own_tokens) == (len(set(TEXTS)) - 1, first.own_tokens - 3)
    assert changed.padded_tokens == len("TWO!") + 1


def test_any_texts_in_any_order(desk: Desk) -> None:
    rng, known = random.Random(7), set[str]()
    for _ in range(60):
        texts = ["".join(rng.choices("ab日", k=rng.randrange(4))) for _ in range(rng.randrange(12))]
        result, model = desk.run(texts, budget=rng.randrange(1, 20))
        assert sorted(model.encoded) == sorted(set(texts) - known)
        assert result.cached_texts == len(set(texts) & known)
        assert result.tokens == sum(len(text) + 1 for text in set(texts))
        known |= set(texts)


def test_more_texts_than_one_query_asks_for(desk: Desk) -> None:
    texts = [f"text {number}" for number in range(1234)]
    desk.run(texts, budget=5000)
    _, model = desk.run([*texts[::-1], "new"])
    assert model.encoded == ["new"]


CHANGES: dict[str, dict[str, Any]] = {
    "weights": {"fingerprint": "other"},
    "prompt": {"facts": {"prompts": {"document": "passage: "}}},
    "length": {"facts": {"max_tokens": 256}},
    "no length": {"facts": {"max_tokens": None}},
    "dtype": {"facts": {"dtype": "bf16"}},
    "device": {"facts": {"device": "cpu"}},
    "attention": {"facts": {"attention": "eager"}},
    "pooling": {"facts": {"pooling": "cls"}},
    "library": {"torch": "2.1"},
    "library gone": {"torch": None},
    "role": {"role": "query"},
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_decides_a_vector_is_in_the_key(desk: Desk, change: str) -> None:
    desk.run(TEXTS)
    wanted = CHANGES[change]
    if "facts" in wanted:
        wanted = {"facts": msgspec.structs.replace(desk.facts, **wanted["facts"])}
    session = desk.session()
    assert desk.space(session, fingerprint="org/model").read(["one"]).missing == []
    assert desk.space(session, **{"fingerprint": "org/model", **wanted}).read(["one"]) == CachedVectors(None, [0])


@pytest.mark.parametrize(
    "same",
    [{"name": "other/name"}, {"facts": {"device": "cuda:1"}}, {"facts": {"prompts": {"query": "new: "}}}],
    ids=str,
)
def test_what_does_not_is_not(desk: Desk, same: dict[str, Any]) -> None:
    """A document's vector does not depend on the model's name, the GPU's number or the prompt of queries."""
    desk.run(TEXTS)
    if "facts" in same:
        same = {"facts": msgspec.structs.replace(desk.facts, **same["facts"])}
    assert desk.space(desk.session(), **{"fingerprint": "org/model", **same}).read(["one"]).missing == []


def test_every_fact_of_a_model_is_in_the_key_or_left_out_on_purpose() -> None:
    """A new fact that changes vectors must be part of the key."""
    described = {"architecture", "parameters", "dimensions", "trust_remote_code", "normalized", "padding_side"}
    described.add("notices")  # all of these follow from files and settings
    of_variants = {
        "precision",
        "bytes_per_vector",
        "similarity",
    }  # made of the vectors, or computed with them, afterwards
    other = {"prompts", "device"}  # enter as the role's prompt and as the kind of device
    rest = set(ModelFacts.__struct_fields__) - described - of_variants - other
    assert rest <= set(SpaceKey.__struct_fields__)


def test_vectors_made_before_the_session_are_made_anew_on_demand(desk: Desk) -> None:
    desk.run(TEXTS)
    fresh = desk.session(since=time.time())
    _, model = desk.run(TEXTS, fresh)
    assert sorted(model.encoded) == sorted(set(TEXTS))
    _, model = desk.run(TEXTS, fresh)
    assert model.encoded == [], "variants of a model still share what this session made"
    _, model = desk.run(TEXTS)
    assert model.encoded == []


def test_batches_before_an_error_are_kept(desk: Desk) -> None:
    class Breaking(type(desk.run([])[1])):  # type: ignore[misc]
        def forward(self, batch: Sequence[PreparedText], role: Role) -> Vectors:
            actual: Vectors = super().forward(batch, role)
            return actual * np.float32("nan") if batch[0].payload == "c" else actual

    session = desk.session()
    space = desk.space(session, fingerprint="org/model")
    with pytest.raises(ModelError, match=r"is NaN or infinite \(1 character: 'c'\)$"):
        encode(Breaking(8), ["aaa", "bb", "c"], "document", batch_tokens=1, progress=SilentProgress(), cache=space)
    session.close()
    _, model = desk.run(["aaa", "bb", "c"])
    assert model.encoded == ["c"]


def test_the_time_of_encoding_is_without_that_of_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0

    def spend(seconds: float) -> None:
        nonlocal now
        now += seconds

    class Slow:
        facts = ModelFacts()

        def prepare(self, texts: Sequence[str], role: Role) -> list[PreparedText]:
            spend(1)
            return [PreparedText(text, 1, 1) for text in texts]

        def forward(self, batch: Sequence[PreparedText], role: Role) -> Vectors:
            spend(10)
            return np.zeros((len(batch), 2), np.float32)

        def read(self, texts: Sequence[str]) -> CachedVectors:
            spend(100)
            return CachedVectors(np.ones((len(texts), 2), np.float32), [1, 2], own_tokens=5, tokens=6)

        def write(self, texts: Sequence[str], prepared: Sequence[PreparedText], vectors: Vectors) -> None:
            spend(1000)

        def remove(self, texts: Sequence[str]) -> None:
            raise NotImplementedError

    monkeypatch.setattr(time, "perf_counter", lambda: now)
    result = encode(Slow(), ["a", "b", "c"], "query", batch_tokens=1, progress=SilentProgress(), cache=Slow())
    assert result.seconds == 1 + 2 * 10
    assert result.vectors.tolist() == [[1, 1], [0, 0], [0, 0]]
    assert (result.own_tokens, result.tokens, result.padded_tokens) == (7, 8, 2)
    assert (result.cached_texts, result.cached_own_tokens) == (1, 5)


def test_hits_take_little_more_memory_than_their_vectors(desk: Desk) -> None:
    import tracemalloc

    texts = [f"{number}" for number in range(2000)]
    desk.run(texts, dimensions=1024, budget=4000)
    session = desk.session()
    space = desk.space(session, fingerprint="org/model")
    tracemalloc.start()
    result = space.read(texts)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert result.vectors is not None
    assert peak < 1.25 * result.vectors.nbytes


def test_digests_tell_texts_apart() -> None:
    texts = [*TEXTS, "ONE", "one ", "é", "e\u0301", "\udc80", "\\udc80"]
    assert len({text_digest(text) for text in texts}) == len(set(texts))
    assert all(len(text_digest(text)) == 16 for text in texts)


# The folder


def test_the_default_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    for name in ("EMBEDBENCH_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert default_folder() == Path("/home/somebody/.cache/pytest-embedbench")
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/caches")
    assert default_folder() == Path("/var/caches/pytest-embedbench")
    monkeypatch.setenv("EMBEDBENCH_CACHE", "~/mine")
    assert default_folder() == Path("/home/somebody/mine")


def test_the_folder_is_private_and_ignored_by_git(desk: Desk) -> None:
    desk.run(TEXTS)
    assert stat.S_IMODE(desk.folder.stat().st_mode) == 0o700
    assert (desk.folder / ".gitignore").read_text("utf-8").splitlines()[-1] == "*"
    assert {path.name for path in desk.folder.iterdir()} <= {".gitignore", "vectors-1-0001.sqlite", "vectors-1.lock"}


def test_no_text_is_in_the_file(desk: Desk) -> None:
    desk.run(["a secret of the company"])
    assert b"secret" not in (desk.folder / "vectors-1-0001.sqlite").read_bytes()


def test_the_last_use_is_noted_once_in_a_while(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.run(TEXTS)
    later = time.time() + FRESH_SECONDS / 2
    for wait, changes in ((0.0, False), (FRESH_SECONDS, True)):
        before = {space.used for space in desk.session().file.contents()}
        monkeypatch.setattr(time, "time", lambda wait=wait: later + wait)
        desk.run(TEXTS)
        assert ({space.used for space in desk.session().file.contents()} != before) is changes


def test_keys_of_earlier_versions_are_read() -> None:
    """They had null for a library that was not installed; ``embedbench cache`` lists their vectors too."""
    key = SpaceKey(
        fingerprint="f", role="query", prompt="", max_tokens=None, dtype="fp32", device="cpu", attention="", pooling="mean",
        backend="", libraries={"torch": "2", "openvino": None},
    )  # fmt: skip
    assert SpaceKey.read(key.dump()) == key
