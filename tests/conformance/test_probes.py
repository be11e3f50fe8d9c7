"""Each probe passes a sound model and catches the one that is broken in just that way."""

from __future__ import annotations

import importlib.util
import pkgutil
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest

from pytest_embedbench import catalog, conformance
from pytest_embedbench.conformance.probes import PROBES
from pytest_embedbench.conformance.subject import Subject, distances
from pytest_embedbench.errors import ConfigurationError
from pytest_embedbench.models.spec import ModelSpec, NamedModel
from pytest_embedbench.suite.probed_models import check_skipped_probes

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_embedbench.conformance.outcome import ProbeOutcome
    from pytest_embedbench.models.local.sentence_transformer import SentenceTransformerModel


def _module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("embedbench_broken", Path(__file__).with_name("broken.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def broken() -> ModuleType:
    """Return the module of broken models; test folders are no packages."""
    return _module()


def ask(probe: str, model: Any, spec: ModelSpec | None = None, reference: Any = None) -> ProbeOutcome:
    """Ask one probe of a model under this definition; absent: MiniLM's of the catalogue."""
    named = NamedModel(alias="examined", spec=spec or catalog.models()["minilm"])
    return PROBES[probe].ask(Subject(named, model, reference))


def test_a_suite_may_leave_out_every_probe_and_knows_no_other() -> None:
    check_skipped_probes(ModelSpec(skip_probes=tuple(PROBES)), "s.toml: models.m")
    with pytest.raises(ConfigurationError) as caught:
        check_skipped_probes(ModelSpec(skip_probes=("order", "contxt")), "s.toml: models.m")
    assert str(caught.value) == (
        "s.toml: models.m.skip_probes[1]: no probe is called 'contxt'\n  fix: did you mean 'context'?"
    )


def test_the_registry_has_every_probe_once() -> None:
    for module in pkgutil.iter_modules(conformance.__path__):
        for probe in getattr(importlib.import_module(f"pytest_embedbench.conformance.{module.name}"), "PROBES", ()):
            assert module.name == "probes" or PROBES[probe.name] is probe
    assert all(probe.name == name and probe.question.endswith("?") for name, probe in PROBES.items())


def test_a_sound_model_fails_no_probe(minilm: SentenceTransformerModel) -> None:
    found = {name: ask(name, minilm, reference=minilm).status for name in PROBES}
    assert set(found.values()) == {"passed", "skipped"}
    skipped = {name for name, status in found.items() if status == "skipped"}
    assert skipped == {"roles", "matryoshka"}  # it has no prompts and declares no shorter vectors


CASES: dict[str, tuple[str, Callable[[Any, Any], Any], str]] = {
    "dimensions differ by role": ("dimension", lambda b, m: b.short_queries(m), "a query has 256 dimensions"),
    "a number is NaN": ("finite", lambda b, m: b.nan_in_batches(m), "1 of 24 query vectors hold NaN"),
    "nothing normalizes": ("unit-norm", lambda b, m: b.without_normalization(m), "a vector has length 1.7000"),
    "dropout is on": ("determinism", lambda b, m: b.in_training_mode(m), "the model is not in eval mode"),
    "padding is not masked": ("batch-invariance", lambda b, m: b.WithoutMask(m), "padding is not masked"),
    "vectors come in another order": ("order", lambda b, m: b.SortedAndNotPutBack(m), "got the vector of"),
    "weights mean nothing": ("sanity", lambda b, m: b.forgets_everything(m), "easy questions are not answered"),
    "a server cuts in silence": ("context", lambda b, m: b.Cut(m, 128), "does not move the vector"),
    "empty texts are refused": ("odd-texts", lambda b, m: b.RefusesEmpty(m), "empty: the server says 400"),
    "requests exchange vectors": ("concurrency", lambda b, m: b.ExchangesRequests(m), "with 4 requests in flight"),
    "threads share a buffer": ("concurrency", lambda b, m: b.SharesABuffer(m), "with 2 requests in flight"),
    "equal lengths go wrong": ("equal-length", lambda b, m: b.WrongAtEqualLength(m), "texts of equal length"),
    "a buffer is not cleared": ("state", lambda b, m: b.Remembers(m), "after a short text, and after a long one"),
    "an endpoint serves another model": ("parity", lambda b, m: b.Cut(m, 6), "(1 - cosine); worst:"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_broken_model_fails_its_probe(case: str, broken: ModuleType, minilm: SentenceTransformerModel) -> None:
    probe, make, said = CASES[case]
    found = ask(probe, make(broken, minilm), reference=minilm if probe == "parity" else None)
    assert found.status == "failed"
    assert said in found.explanation
    assert "\nfix: " in found.explanation
    assert found.measured
    assert found.limit


@pytest.mark.parametrize("probe", ["batch-invariance", "equal-length", "state"])
def test_vectors_that_are_others_each_time_are_reported_once(
    probe: str, broken: ModuleType, minilm: SentenceTransformerModel
) -> None:
    found = ask(probe, broken.in_training_mode(minilm))
    assert found.status == "skipped"
    assert "apart each time, see conformance[determinism]" in found.explanation


def test_lengths_are_compared_where_they_decide_a_ranking(broken: ModuleType, minilm: SentenceTransformerModel) -> None:
    longer = broken.without_normalization(minilm)
    assert ask("parity", longer, reference=minilm).status == "passed"
    longer.facts = msgspec.structs.replace(longer.facts, similarity="dot")
    found = ask("parity", longer, reference=minilm)
    assert found.status == "failed"
    assert "lengths of vectors differ by 41.18%, and dot depends on them" in found.explanation


def test_a_definition_may_say_that_vectors_are_of_any_length(
    broken: ModuleType, minilm: SentenceTransformerModel
) -> None:
    longer = broken.without_normalization(minilm)
    assert "since cosine is the same for all lengths" in ask("unit-norm", longer).explanation
    assert ask("unit-norm", longer, ModelSpec(hub="someone/unknown", normalized=False)).status == "skipped"


def test_answers_are_ranked_by_the_models_similarity(broken: ModuleType, minilm: SentenceTransformerModel) -> None:
    def of_any_length(_: Any, vectors: np.ndarray, batch: Any, __: Any) -> np.ndarray:
        """Some texts win every inner product by their length."""
        lengths = [np.exp(3 * np.random.default_rng(text.payload).normal()) for text in batch]
        return vectors * np.array(lengths, np.float32)[:, None]

    long = broken.Broken(minilm, of_any_length)
    assert ask("sanity", long).status == "passed"
    long.facts = msgspec.structs.replace(long.facts, similarity="dot")
    assert ask("sanity", long).status == "failed"


def test_the_effective_context_is_told_in_tokens(broken: ModuleType, minilm: SentenceTransformerModel) -> None:
    found = ask("context", broken.Cut(minilm, 128))
    assert found.value is not None
    assert 128 - 2 * 12 <= found.value <= 128 + 2 * 12  # to the nearest of twenty parts


def test_a_server_that_sees_next_to_nothing_is_told_to_the_token(
    broken: ModuleType, minilm: SentenceTransformerModel
) -> None:
    cut = broken.Cut(minilm, 16)
    cut.facts = msgspec.structs.replace(cut.facts, max_tokens=2048, device="endpoint")
    found = ask("context", cut, ModelSpec(kind="endpoint", model="unknown", max_tokens=512))
    assert found.status == "failed"
    assert found.value is not None
    assert 0 < found.value <= 16 + 8 + 2


def test_noise_that_hides_a_change_is_not_taken_for_a_cut(broken: ModuleType, minilm: SentenceTransformerModel) -> None:
    spec = ModelSpec(kind="endpoint", model="unknown", max_tokens=256)
    found = ask("context", broken.noisy(minilm, 0.1), spec)
    assert found.explanation.startswith("not checked: whether texts are cut early, since one text gets vectors as far")
    assert ask("context", broken.noisy(minilm, 0.001), spec).status == "passed"
    cut = broken.noisy(broken.Cut(minilm, 64), 0.001)
    assert ask("context", cut, spec).status == "failed"


def test_a_checkpoint_that_lost_its_length_is_short_of_what_is_declared(minilm: SentenceTransformerModel) -> None:
    declared = ModelSpec(hub="someone/unknown", max_tokens=512)
    assert ask("context", minilm, declared).status == "failed"  # MiniLM sees 256


def test_shorter_vectors_must_answer_too(broken: ModuleType, minilm: SentenceTransformerModel) -> None:
    spec = ModelSpec(hub="someone/unknown", matryoshka=(128, 256))
    assert ask("matryoshka", minilm, spec).status == "passed"
    found = ask("matryoshka", broken.meaning_comes_last(minilm), spec)
    assert found.status == "failed"
    assert "with the first 128 dimensions" in found.explanation
    too_long = ask("matryoshka", minilm, msgspec.structs.replace(spec, matryoshka=(128, 512)))
    assert "512 dimensions are declared, vectors have 384" in too_long.explanation


def test_a_prompt_that_does_not_arrive_is_caught_by_its_role(
    broken: ModuleType, minilm: SentenceTransformerModel
) -> None:
    spec = ModelSpec(hub="someone/unknown", query_prompt="query: ", document_prompt="")
    told = minilm.with_prompts({"query": "query: ", "document": ""})
    assert ask("roles", told, spec).status == "passed"
    deaf = broken.Broken(minilm, prompts={"query": "query: "})  # it says so, and leaves the prompt out
    found = ask("roles", deaf, spec)
    assert found.status == "failed"
    assert "the prompt is dropped on the way" in found.explanation


@pytest.mark.parametrize(
    ("prompt", "problem"),
    [
        ("", "before a query stands ''"),
        ("Instruct: Find it\nQuery: ", "Query: '"),
        ("Instruct: Find it Query:", "it should be 'Instruct: {task}\\nQuery:'"),
    ],
)
def test_a_prompt_unlike_the_catalogues_is_caught(
    prompt: str, problem: str, minilm: SentenceTransformerModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = ModelSpec(hub="org/known", query_prompt="Instruct: {task}\nQuery:", document_prompt="")
    monkeypatch.setattr(catalog, "models", lambda: {"known": known})
    served = ModelSpec(kind="endpoint", url="http://127.0.0.1:9/v1", model="org/known")
    right = minilm.with_prompts({"query": "Instruct: Find it\nQuery:", "document": ""})
    assert ask("prompts", right, served).status == "passed"
    found = ask("prompts", minilm.with_prompts({"query": prompt, "document": ""}), served)
    assert found.status == "failed"
    assert problem in found.explanation


E5 = "intfloat/multilingual-e5-large"
TOLD = {"query_parameters": {"input_type": "query"}, "document_parameters": {"input_type": "passage"}}


def at_server(minilm: SentenceTransformerModel, broken: ModuleType, model: str, **keys: Any) -> tuple[Any, ModelSpec]:
    """Return MiniLM as if a server ran it, and a definition of that server's model."""
    spec = ModelSpec(kind="endpoint", url="http://127.0.0.1:9/v1", model=model, **keys)
    prompts = {role: prompt for role, prompt in spec.prompts.items() if prompt}
    return broken.Broken(minilm, prompts=prompts, device="endpoint", max_tokens=spec.max_tokens), spec


@pytest.mark.parametrize(
    ("model", "keys", "problem"),
    [
        (E5, TOLD, ""),
        (E5, {"query_parameters": {"prompt_name": "query"}}, ""),
        (E5, {}, "before a query stands '', it should be 'query: '"),
        (
            E5,
            {"query_parameters": {"truncate": "END"}, "document_parameters": {"truncate": "END"}},
            "should be 'query: '",
        ),
        (E5, {**TOLD, "query_prompt": "query: "}, "stands 'query: ', and the server puts its own prompt by input_type"),
        (
            "voyage-4",
            {"query_parameters": {"input_type": "query"}, "document_parameters": {"input_type": "document"}},
            "",
        ),
        ("voyage-4", {"query_parameters": {"input_type": "search"}}, "request should have {'input_type': 'query'}"),
        ("voyage-4", {}, "request should have {'input_type': 'query'}"),
        ("voyage/voyage-4", {"query_parameters": {"task": "query"}}, ""),
    ],
)
def test_a_server_that_is_told_the_role_puts_the_prompt_itself(
    model: str, keys: dict[str, Any], problem: str, broken: ModuleType, minilm: SentenceTransformerModel
) -> None:
    served, spec = at_server(minilm, broken, model, **keys)
    found = ask("prompts", served, spec)
    assert found.status == ("failed" if problem else "passed")
    assert problem in found.explanation
    if keys.get("query_prompt"):
        assert "fix: leave query_prompt and document_prompt out" in found.explanation
    if not problem:
        assert "role in " in found.measured


def test_a_role_that_changes_nothing_is_a_fault_only_of_a_model_with_prompts(
    broken: ModuleType, minilm: SentenceTransformerModel
) -> None:
    assert ask("roles", *at_server(minilm, broken, "bge-m3", **TOLD)).status == "skipped"
    deaf = ask("roles", *at_server(minilm, broken, E5, **TOLD))
    assert deaf.status == "failed"
    assert "the server does not know the field" in deaf.explanation


def test_a_server_that_cuts_in_silence_is_found_under_a_served_name(
    broken: ModuleType, minilm: SentenceTransformerModel
) -> None:
    served, spec = at_server(minilm, broken, "hf.co/google/embeddinggemma-300M-GGUF:Q8_0")
    found = ask("context", served, spec)
    assert found.status == "failed"  # MiniLM sees 256 tokens
    assert "are declared" in found.explanation


def test_what_could_not_be_checked_is_said(broken: ModuleType, minilm: SentenceTransformerModel) -> None:
    found = ask("context", *at_server(minilm, broken, "gritlm-of-ours"))
    assert found.status == "skipped"
    assert found.explanation.startswith("not checked: whether texts are cut early")
    assert "max_tokens in its definition" in found.explanation
    local = broken.Broken(minilm, max_tokens=None)
    assert ask("context", local, ModelSpec(path="/static")).explanation == "it has no maximal length"


def test_pooling_is_compared_with_what_is_declared(minilm: SentenceTransformerModel) -> None:
    found = ask("declaration", minilm, ModelSpec(hub="someone/unknown", pooling="lasttoken"))
    assert found.status == "failed"
    assert "it pools by 'mean', 'lasttoken' is declared" in found.explanation


def test_the_tolerance_is_that_of_the_number_format(broken: ModuleType, minilm: SentenceTransformerModel) -> None:
    def rounded(_: Any, vectors: np.ndarray, batch: Any, __: Any) -> np.ndarray:
        """Rounding as in 16 bits, another one in each batch."""
        noise = np.random.default_rng(len(batch)).normal(scale=2e-3, size=vectors.shape)
        return (vectors + noise).astype(np.float32)

    assert ask("batch-invariance", broken.Broken(minilm, rounded)).status == "failed"
    in_bf16 = ask("batch-invariance", broken.Broken(minilm, rounded, dtype="bf16"))
    assert in_bf16.status == "passed"
    assert in_bf16.limit == "<= 0.005 in bf16"


def test_every_number_of_a_probe_is_kept(minilm: SentenceTransformerModel) -> None:
    found = ask("batch-invariance", minilm)
    assert found.value == max(found.values.values())
    assert len(found.values) > 12


def test_vectors_without_direction_are_as_far_apart_as_can_be() -> None:
    zero, one = np.zeros((1, 3), dtype=np.float32), np.ones((1, 3), dtype=np.float32)
    assert distances(zero, one).tolist() == [1.0]
    assert distances(one, one).tolist() == pytest.approx([0.0])
    assert distances(one, -one).tolist() == pytest.approx([2.0])
