"""The plugin's options and ini keys. Their values are plain data, because xdist sends them to its workers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import pytest

    Add = Callable[..., None]

_NAME = re.compile(r"(?:\s*https?://(?:(?!,\s*https?://)[^#])*#)?[^,]+")
"""A name up to the next comma; in the address of a server, up to the comma after its ``#MODEL``."""


def option(config: pytest.Config, name: str) -> Any:
    """Return the value of ``--embed-NAME``; ``name`` has underscores for hyphens."""
    return config.getoption(f"embed_{name}")


def takes_value(config: pytest.Config, argument: str) -> bool:
    """Whether an argument is an option of ours whose value is the next argument."""
    name = argument.removeprefix("--").replace("-", "_")
    # A switch is an option whose value is a boolean.
    return argument.startswith("--embed-") and not isinstance(getattr(config.option, name, True), bool)


def split_names(values: Iterable[str]) -> tuple[str, ...]:
    """Return the single names of an option that may be repeated or have commas.

    A comma in the address of a server does not end it: ``http://host/v1?tags=a,b#model`` is one name.
    """
    return tuple(name.strip() for value in values for name in _NAME.findall(value) if name.strip())


def add_options(parser: pytest.Parser) -> None:
    """Register all options and ini keys; an option's ``dest`` is its name with underscores for hyphens."""
    add = parser.getgroup("embedbench", "embedding models (pytest-embedbench)").addoption
    _add_test_options(add)
    _add_output_options(add)
    _add_baseline_options(add)
    _add_run_options(add)
    parser.addini("embedbench_results", "Default of --embed-results.", default="")
    parser.addini("embedbench_card", "Default of --embed-card.", default="")
    parser.addini("embedbench_cache", "Default of --embed-cache, where $EMBEDBENCH_CACHE is not set.", default="")
    parser.addini(
        "embedbench_cache_size",
        "Maximum size of the embedding cache, e.g. 2GB (default: 5GB); the vectors unused for longest are removed.",
        default="",
    )


def _add_test_options(add: Add) -> None:
    """Add options for what is tested, and under which load."""
    add(
        "--embed-model", dest="embed_model", action="append", default=[], metavar="NAME",
        help="Model to test: alias in the catalogue, Hub id (org/model), folder, or URL#MODEL of a server. "
        "NAME@dim=128, NAME@int8 and NAME@binary are variants. Repeat, or separate by commas, for several. Replaces "
        "the suite's models. Without test paths on the command line, only embedbench items run. Write = before a path.",
    )  # fmt: skip
    add(
        "--embed-dataset", dest="embed_dataset", action="append", default=[], metavar="NAME",
        help="Dataset to test on: known name, BEIR folder or .zip, table (.csv, .tsv, .jsonl, .parquet), Hub id "
        "(org/name) or irds:ID; NAME@SPLIT for a split other than test. Repeat, or separate by commas, for several. "
        "Replaces the suite's datasets.",
    )  # fmt: skip
    add(
        "--embed-suite", dest="embed_suite", default=None, metavar="FILE",
        help="Suite file (default: embedbench.toml or [tool.embedbench] in pyproject.toml; without one, the packaged "
        "suite).",
    )  # fmt: skip
    add(
        "--embed-profile", dest="embed_profile", action="append", default=[], metavar="'b1 c16'",
        help="Also measure latency and throughput under this load: b texts per request, and c requests in flight or, "
        "as in 'b1 r50', r requests per second. May be repeated.",
    )  # fmt: skip
    add(
        "--embed-profile-seconds", dest="embed_profile_seconds", type=float, default=20.0, metavar="S",
        help="Maximum seconds for which a load profile measures each side, queries and corpus (default: 20).",
    )  # fmt: skip
    add(
        "--embed-energy", dest="embed_energy", action="store_true", default=False,
        help="Record the energy that the machine uses during each load profile (needs the extra "
        "pytest-embedbench[energy]).",
    )  # fmt: skip
    add(
        "--embed-fail-fast", dest="embed_fail_fast", action="store_true", default=False,
        help="End a pair's evaluation as soon as it is proven that one of its quality limits will be missed. Verdicts "
        "are the same as without this option.",
    )  # fmt: skip
    add(
        "--embed-no-conformance", dest="embed_no_conformance", action="store_true", default=False,
        help="Skip the conformance probes: tests that a model is what it is said to be (batch invariance, prompts, "
        "context, ...).",
    )  # fmt: skip
    add(
        "--embed-only", dest="embed_only", action="store_true", default=False,
        help="Run embedbench items only (implied by any of --embed-model, --embed-dataset, --embed-suite, "
        "--embed-update-baseline when no paths are given).",
    )  # fmt: skip


def _add_output_options(add: Add) -> None:
    """Add options for the files that a session writes."""
    add(
        "--embed-results", dest="embed_results", default=None, metavar="DIR",
        help="Folder for results and their evidence (default: embedbench-out/results).",
    )  # fmt: skip
    add(
        "--embed-card", dest="embed_card", default=None, metavar="DIR",
        help="Folder for model cards (default: embedbench-out/cards).",
    )  # fmt: skip
    add(
        "--embed-card-template", dest="embed_card_template", default=None, metavar="FILE",
        help="Jinja template for the cards, in place of the packaged one; it runs in a sandbox.",
    )  # fmt: skip
    add(
        "--embed-leaderboard", dest="embed_leaderboard", default=None, metavar="DIR",
        help="Rank the models of this session against each other, query by query, and write ratings and pages into "
        "this folder.",
    )  # fmt: skip
    add(
        "--embed-summary", dest="embed_summary", default=None, metavar="FILE",
        help="Write the session's summary as Markdown into this file. In GitHub Actions it is also added to the "
        "summary of the step, with or without this option.",
    )  # fmt: skip


def _add_baseline_options(add: Add) -> None:
    """Add options for the comparison with a baseline."""
    add(
        "--embed-baseline", dest="embed_baseline", default=None, metavar="FILE",
        help="Compare every pair with this baseline: a file, or GIT-REF:PATH, e.g. main:embedbench-baseline.json "
        "(default: as the suite says, else embedbench-baseline.json beside the suite, if it exists).",
    )  # fmt: skip
    add(
        "--embed-update-baseline", dest="embed_update_baseline", action="store_true", default=False,
        help="Write the measured values into the baseline instead of comparing with it. Entries of other pairs stay.",
    )  # fmt: skip


def _add_run_options(add: Add) -> None:
    """Add options for how models run, and what is kept between sessions."""
    add(
        "--embed-device", dest="embed_device", default=None, metavar="DEVICE",
        help="Device for the models: cpu, cuda, cuda:1, mps (default: as the suite says, else the best one here).",
    )  # fmt: skip
    add(
        "--embed-dtype", dest="embed_dtype", default=None, choices=("fp32", "bf16", "fp16", "auto"),
        help="Number format of the model's weights and activations (default: the checkpoint's own on a GPU, fp32 on a "
        "CPU). auto takes the fastest format on this machine that keeps the vectors of the dataset's own texts.",
    )  # fmt: skip
    add(
        "--embed-patience", dest="embed_patience", default=None, metavar="DURATION",
        help="How long a server may be loading, out of quota or stopped, e.g. '15 min' (default: as the model's "
        "definition says, else 5 min).",
    )  # fmt: skip
    add(
        "--embed-batch-tokens", dest="embed_batch_tokens", type=int, default=None, metavar="N",
        help="Maximum tokens in a batch while encoding, padding included (default: tuned while a large corpus is "
        "encoded, and remembered in the cache's folder).",
    )  # fmt: skip
    add(
        "--embed-offline", dest="embed_offline", action="store_true", default=False,
        help="Open no connection. Models and datasets of the Hub come from its local cache; models behind an endpoint "
        "are refused.",
    )  # fmt: skip
    add(
        "--embed-fresh", dest="embed_fresh", action="store_true", default=False,
        help="Encode again, even if there is a stored run of the same model, data and settings, or there are cached "
        "vectors; both are replaced.",
    )  # fmt: skip
    add(
        "--embed-cache", dest="embed_cache", default=None, metavar="DIR",
        help="Folder of the embedding cache, which keeps vectors so that no text is encoded twice (default: "
        "$EMBEDBENCH_CACHE, else pytest-embedbench in your cache folder). Load profiles never use it.",
    )  # fmt: skip
    add(
        "--embed-no-cache", dest="embed_no_cache", action="store_true", default=False,
        help="Neither read nor write the embedding cache.",
    )  # fmt: skip
