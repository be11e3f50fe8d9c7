"""A thorough look at a dataset: everything that a run says of it, and what takes longer."""

from __future__ import annotations

from collections import Counter as Count

import msgspec

from pytest_embedbench.datasets.doctor.languages import INSTALL, Languages, languages, scripts
from pytest_embedbench.datasets.doctor.lengths import Counter, Lengths, Tokens, summarize, tokens
from pytest_embedbench.datasets.types import Dataset, Finding


class Examination(msgspec.Struct, frozen=True, kw_only=True):
    """What a dataset holds, and what is wrong with it, errors first."""

    dataset: str
    split: str
    documents: int
    unique_texts: int
    queries: int
    """Those that enter the means; where nothing is judged, all."""
    queries_in_file: int
    judgments: int
    grades: dict[int, int]
    """Grade -> judgments that have it, highest first."""
    relevant: Lengths | None
    """Relevant documents of a query that enters the means."""
    characters: dict[str, Lengths]
    """Of ``documents`` and ``queries``; a document's title counts."""
    scripts: dict[str, float]
    languages: Languages | None
    model: str = ""
    limit: int | None = None
    tokens: dict[str, Tokens] = {}
    """With a model: ``documents`` and ``queries`` in its tokens, and how many exceed its ``limit``."""
    findings: list[Finding]
    skipped: list[str]
    """Checks that could not be made, and why."""

    @property
    def wrong(self) -> bool:
        """Are scores on it wrong?"""
        return any(finding.level == "error" for finding in self.findings)


def examine(dataset: Dataset, counter: Counter | None = None) -> Examination:
    """Look at a dataset as ``load_dataset`` gives it, with the findings that every run has.

    ``counter`` counts a model's tokens; without one, texts are measured in characters only.

    Raises:
        ModelError: the model's tokenizer cannot be used.
    """
    findings, skipped = list(dataset.findings), []
    try:
        spoken, found = languages(dataset)
        findings += found
    except ImportError as error:
        spoken = None
        skipped.append(f"languages: {error.name} is not installed; {INSTALL}")
    counted: dict[str, Tokens] = {}
    if counter:
        counted, found = tokens(dataset, counter)
        findings += found
    grades = Count(grade for judged in dataset.qrels.values() for grade in judged.values())
    findings += _one_grade(grades)
    ranked = dataset.ranked_queries
    sides = {
        "documents": summarize([len(text) for text in dataset.doc_texts]),
        "queries": summarize([len(dataset.query_text[query]) for query in ranked]),
    }
    return Examination(
        dataset=dataset.name,
        split=dataset.split,
        documents=len(dataset.doc_ids),
        unique_texts=dataset.unique_texts,
        queries=len(ranked),
        queries_in_file=len(dataset.query_ids),
        judgments=grades.total(),
        grades=dict(sorted(grades.items(), reverse=True)),
        relevant=summarize(
            [sum(grade > 0 for grade in dataset.qrels[query].values()) for query in dataset.judged_queries]
        ),
        characters={side: lengths for side, lengths in sides.items() if lengths},
        scripts=scripts(dataset),
        languages=spoken,
        model=counter.model if counter else "",
        limit=counter.limit if counter else None,
        tokens=counted,
        findings=sorted(findings, key=lambda finding: finding.level != "error"),
        skipped=skipped,
    )


def _one_grade(grades: Count[int]) -> list[Finding]:
    """Binary judgments are 1 and perhaps 0; a single other grade may be a column that is something else."""
    relevant = [grade for grade in grades if grade > 0]
    if len(relevant) != 1 or relevant == [1]:
        return []
    return [
        Finding(
            code="one-grade",
            message=f"relevant documents all have the grade {relevant[0]}; scores are the same as with 1",
            count=grades[relevant[0]],
            fix="is the last column the grade? If so, write 1: these documents are relevant, and no more",
        )
    ]
