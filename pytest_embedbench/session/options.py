"""The plugin's options and ini keys. Values are plain data, since xdist sends them to its workers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import pytest

    Add = Callable[..., None]


def option(config: pytest.Config, name: str) -> Any:
    """Return the value of ``--embed-NAME``; ``name`` has underscores for hyphens."""
    return config.getoption(f"embed_{name}")


def split_names(values: Iterable[str]) -> tuple[str, ...]:
    """Return the single names of an option that may be repeated or have commas."""
    return tuple(name.strip() for value in values for name in value.split(",") if name.strip())


def add_options(parser: pytest.Parser) -> None:
    """Register all of them; ``dest`` is the option's name with underscores."""
    add = parser.getgroup("embedbench", "embedding models (pytest-embedbench)").addoption
    _what_to_test(add)
    _what_to_write(add)
    _what_to_compare_with(add)
    _how_to_work(add)
    parser.addini("embedbench_results", "Default of --embed-results.", default="")
    parser.addini("embedbench_card", "Default of --embed-card.", default="")
    parser.addini("embedbench_cache", "Default of --embed-cache, where $EMBEDBENCH_CACHE is not set.", default="")
    parser.addini(
        "embedbench_cache_size",
        "Largest size of the embedding cache, e.g. 2GB (default: 5GB); the vectors unused for longest go first.",
        default="",
    )


def _what_to_test(add: Add) -> None:
    """What to test, and under which load."""
    add(
        "--embed-model", dest="embed_model", action="append", default=[], metavar="NAME",
        help="Model to test: catalogue alias, Hub id (org/model), folder or URL#MODEL; NAME@dim=128, NAME@int8 and "
        "NAME@binary are variants. Repeat or separate by commas for a matrix. Replaces the suite's models; with no "
        "paths given, only embedbench items run.",
    )  # fmt: skip
    add(
        "--embed-dataset", dest="embed_dataset", action="append", default=[], metavar="NAME",
        help="Dataset to test on: known name, BEIR folder or .zip, table (.csv, .tsv, .jsonl, .parquet), Hub id "
        "(org/name) or irds:ID; NAME@SPLIT for another split than test. Repeat or separate by commas. Replaces the "
        "suite's datasets.",
    )  # fmt: skip
    add(
        "--embed-suite", dest="embed_suite", default=None, metavar="FILE",
        help="Suite file (default: embedbench.toml or [tool.embedbench] of pyproject.toml; else the packaged suite).",
    )  # fmt: skip
    add(
        "--embed-profile", dest="embed_profile", action="append", default=[], metavar="'b1 c16'",
        help="Also measure this load: b texts a request, and c requests in flight or, as in 'b1 r50', r requests a "
        "second. May be repeated.",
    )  # fmt: skip
    add(
        "--embed-profile-seconds", dest="embed_profile_seconds", type=float, default=20.0, metavar="S",
        help="Longest time that each side of a load profile measures (default: 20).",
    )  # fmt: skip
    add(
        "--embed-energy", dest="embed_energy", action="store_true", default=False,
        help="Record the energy that the machine takes during each load profile (needs the extra energy).",
    )  # fmt: skip
    add(
        "--embed-fail-fast", dest="embed_fail_fast", action="store_true", default=False,
        help="End a pair's evaluation as soon as it is proven that one of its quality limits is missed. Verdicts are "
        "those of the whole run.",
    )  # fmt: skip
    add(
        "--embed-no-conformance", dest="embed_no_conformance", action="store_true", default=False,
        help="Do not test whether models are what they are said to be (batch invariance, prompts, context, ...).",
    )  # fmt: skip
    add(
        "--embed-only", dest="embed_only", action="store_true", default=False,
        help="Run embedbench items only (implied by --embed-model, --embed-dataset or --embed-update-baseline without "
        "paths).",
    )  # fmt: skip


def _what_to_write(add: Add) -> None:
    """What to leave behind."""
    add(
        "--embed-results", dest="embed_results", default=None, metavar="DIR",
        help="Where results and their evidence go (default: embedbench-out/results).",
    )  # fmt: skip
    add(
        "--embed-card", dest="embed_card", default=None, metavar="DIR",
        help="Where model cards go (default: embedbench-out/cards).",
    )  # fmt: skip
    add(
        "--embed-card-template", dest="embed_card_template", default=None, metavar="FILE",
        help="Jinja template for the cards instead of the packaged one; runs in a sandbox.",
    )  # fmt: skip
    add(
        "--embed-leaderboard", dest="embed_leaderboard", default=None, metavar="DIR",
        help="Rank this session's models against each other, query by query, and write ratings and pages there.",
    )  # fmt: skip
    add(
        "--embed-summary", dest="embed_summary", default=None, metavar="FILE",
        help="Write the session's summary as markdown; in GitHub's CI it is also added to the step's summary.",
    )  # fmt: skip


def _what_to_compare_with(add: Add) -> None:
    """What to compare with."""
    add(
        "--embed-baseline", dest="embed_baseline", default=None, metavar="FILE",
        help="Compare every pair with this baseline: a file, or GIT-REF:PATH, e.g. main:embedbench-baseline.json "
        "(default: as the suite says, else embedbench-baseline.json beside the suite, if it is there).",
    )  # fmt: skip
    add(
        "--embed-update-baseline", dest="embed_update_baseline", action="store_true", default=False,
        help="Compare nothing; write what is measured into the baseline, where other pairs' entries stay.",
    )  # fmt: skip


def _how_to_work(add: Add) -> None:
    """How models run, and what is kept between sessions."""
    add("--embed-device", dest="embed_device", default=None, metavar="DEVICE", help="cpu, cuda, cuda:1, mps.")
    add(
        "--embed-dtype", dest="embed_dtype", default=None, choices=("fp32", "bf16", "fp16", "auto"),
        help="Number format of the model's weights and activations (default: the checkpoint's own on a GPU, "
        "fp32 on a CPU); auto is the fastest here that keeps the vectors of the dataset's own texts.",
    )  # fmt: skip
    add(
        "--embed-batch-tokens", dest="embed_batch_tokens", type=int, default=None, metavar="N",
        help="Tokens in one batch of the encode loop, padding included (default: found while encoding a large corpus, "
        "and remembered in the cache's folder).",
    )  # fmt: skip
    add(
        "--embed-offline", dest="embed_offline", action="store_true", default=False,
        help="Open no connection: models and datasets of the Hub come from its cache; models behind an endpoint are "
        "refused.",
    )  # fmt: skip
    add(
        "--embed-fresh", dest="embed_fresh", action="store_true", default=False,
        help="Encode again even where a stored run of the same model, data and settings or cached vectors are there; "
        "what is encoded replaces them.",
    )  # fmt: skip
    add(
        "--embed-cache", dest="embed_cache", default=None, metavar="DIR",
        help="Where vectors of encoded texts are kept, so that no text is encoded twice (default: $EMBEDBENCH_CACHE, "
        "else pytest-embedbench in the user's cache folder). Load profiles never use it.",
    )  # fmt: skip
    add(
        "--embed-no-cache", dest="embed_no_cache", action="store_true", default=False,
        help="Neither read nor write the embedding cache.",
    )  # fmt: skip
