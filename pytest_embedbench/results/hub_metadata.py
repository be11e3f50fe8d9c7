"""Export results as metadata for the Hub, written and checked with ``huggingface_hub``'s own classes.

There are two forms: ``model-index`` in a README's front matter, and ``.eval_results/*.yaml``, from which the Hub fills
the leaderboards of datasets. In the second form, ids and scale are the same as in MTEB's uploads: the task
``<task>_default_<split>``, and nDCG@10 in percent.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from pytest_embedbench import __version__
from pytest_embedbench.core.measures import MAIN_MEASURE, parse_measure
from pytest_embedbench.errors import ResultError
from pytest_embedbench.results.schema import ModelRecord, PairResult

if TYPE_CHECKING:
    from huggingface_hub import EvalResult, EvalResultEntry, ModelCardData

HUB_TASK = "text-retrieval"
"""The Hub's name of the task, as in MTEB's uploads."""
MAIN_METRIC = str(MAIN_MEASURE)
"""The measure of the Hub's leaderboards."""
PERCENT_DECIMALS = 5
"""Decimals of a value in percent."""
TOOL = "pytest-embedbench"

_COMMIT = re.compile(r"[0-9a-f]{40}")


def metadata(results: Sequence[PairResult], source_url: str = "") -> ModelCardData:
    """Return the metadata of a README: the model's facts, and all its means as ``model-index``.

    Args:
        results: of one model, one for each dataset.
        source_url: where readers find the evidence.

    Raises:
        ResultError: nothing was scored.
    """
    from huggingface_hub import ModelCardData

    evaluated = [entry for result in results for entry in eval_results(result, source_url)]
    model = results[-1].embedbench.model
    if not evaluated:
        raise ResultError("nothing was scored, so there is nothing for the Hub", where=model.name)
    # The tags of library and pipeline are only true for encoders that sentence-transformers loads.
    dense = model.spec.kind == "sentence-transformers" and bool(model.facts.dimensions or model.spec.dimensions)
    # MTEB's codes name language and script (eng-Latn), the Hub's only the language.
    languages = list(dict.fromkeys(code.partition("-")[0] for code in model.spec.languages))
    return ModelCardData(
        model_name=model.name,
        eval_results=evaluated,
        base_model=model.spec.base_model or None,
        language=languages or None,
        license=model.spec.licence.casefold() or None,
        library_name="sentence-transformers" if dense else None,
        pipeline_tag="feature-extraction" if dense else None,
    )


def eval_results(result: PairResult, source_url: str = "") -> list[EvalResult]:
    """Return one entry for each mean, between 0 and 1; nDCG@10 first."""
    from huggingface_hub import EvalResult

    details = result.embedbench
    dataset = details.dataset
    ordered = sorted(details.means, key=lambda name: name != MAIN_METRIC)
    return [
        EvalResult(
            task_type=HUB_TASK,
            task_name="Retrieval",
            dataset_type=dataset.facts.hub_dataset or dataset.name,
            dataset_name=dataset.name,
            dataset_split=dataset.split or None,
            dataset_revision=_dataset_revision(result),
            metric_type=parse_measure(name).mteb_name,
            metric_name=name,
            metric_value=details.means[name],
            source_name=(details.origin or TOOL) if source_url else None,
            source_url=source_url or None,
        )
        for name in ordered
    ]


def eval_entries(result: PairResult, source_url: str = "") -> list[EvalResultEntry]:
    """Return the entry for the dataset's leaderboard; none if the data is not on the Hub or there is no nDCG@10."""
    from huggingface_hub import EvalResultEntry

    details = result.embedbench
    dataset = details.dataset
    if not dataset.facts.hub_dataset or MAIN_METRIC not in details.means:
        return []
    task = dataset.facts.mteb_task or dataset.name
    return [
        EvalResultEntry(
            dataset_id=dataset.facts.hub_dataset,
            task_id=f"{task}_default_{dataset.split}",
            value=round(100 * details.means[MAIN_METRIC], PERCENT_DECIMALS),
            dataset_revision=_dataset_revision(result),
            date=details.measured_on or None,
            source_url=source_url or None,
            source_name=(details.origin or TOOL) if source_url else None,
            notes=", ".join(_notes(details.model, details.origin)),
        )
    ]


def _notes(model: ModelRecord, origin: str) -> list[str]:
    """Return notes that a leaderboard shows: the tool, and the variant of the model."""
    variant = str(model.spec.variant).removeprefix("@")
    return [f"Obtained using {origin or f'{TOOL} {__version__}'}", *([variant] if variant else [])]


def _dataset_revision(result: PairResult) -> str | None:
    """Return the commit of the data on the Hub; None if it is unknown, e.g. if the revision is only a fingerprint."""
    dataset = result.embedbench.dataset
    known = dataset.facts.hub_dataset and result.dataset_revision != dataset.fingerprint[:40]
    return result.dataset_revision if known and _COMMIT.fullmatch(result.dataset_revision) else None


def dump_entries(entries: Sequence[EvalResultEntry]) -> str:
    """Return the text of a file in ``.eval_results``, checked with the Hub's own reader.

    Raises:
        ResultError: the text would be read as other entries.
    """
    from huggingface_hub import eval_result_entries_to_yaml, parse_eval_result_entries

    # Written and read back, since YAML may take a plain text for something else, e.g. a commit of digits for a number.
    text = msgspec.yaml.encode(eval_result_entries_to_yaml(list(entries))).decode()
    if parse_eval_result_entries(msgspec.yaml.decode(text)) != list(entries):
        raise ResultError(f"the Hub would read other entries for {entries[0].dataset_id} than those written:\n{text}")
    return text


def check_readme(text: str, meant: ModelCardData) -> None:
    """Check with the Hub's own reader that a README has the metadata ``meant``.

    Raises:
        ResultError: the metadata would be read differently.
    """
    from huggingface_hub import ModelCard

    wanted: Any = meant
    parsed: Any = ModelCard(text).data
    if parsed.to_dict() != wanted.to_dict() or parsed.eval_results != wanted.eval_results:
        raise ResultError(f"the Hub would read other metadata of {meant.model_name} than those written")
