"""Examine a dataset closely: the findings of every run, and facts that take longer to compute."""

from __future__ import annotations

from collections import Counter

import msgspec

from pytest_embedbench.datasets.doctor.languages import Languages, languages, scripts
from pytest_embedbench.datasets.doctor.lengths import Lengths, SupportsTokenLengths, Tokens, summarize, tokens
from pytest_embedbench.datasets.types import Dataset, Finding
from pytest_embedbench.errors import install_command


class Examination(msgspec.Struct, frozen=True, kw_only=True):
    """Contents of a dataset, and findings about it, errors first."""

    dataset: str
    split: str
    documents: int
    unique_texts: int
    queries: int
    """Queries that enter the means; all queries if nothing is judged."""
    queries_in_file: int
    judgments: int
    grades: dict[int, int]
    """Grade -> number of judgments with it, highest grade first."""
    relevant: Lengths | None
    """Relevant documents per query, of the queries that enter the means; None if there are no such queries."""
    characters: dict[str, Lengths]
    """Lengths in characters of ``documents`` (title included) and ``queries``."""
    scripts: dict[str, float]
    """Script -> share of the letters in a sample of documents."""
    languages: Languages | None
    """Languages of a sample of documents; None if the libraries that detect them are not installed."""
    model: str = ""
    """The model whose tokens are counted; "" if none was given."""
    limit: int | None = None
    """Tokens at which the model cuts texts; None if it does not."""
    tokens: dict[str, Tokens] = {}
    """Lengths of ``documents`` and ``queries`` in the model's tokens, and how many texts exceed its limit."""
    findings: list[Finding]
    skipped: list[str]
    """Checks that could not be made, each with the reason."""

    @property
    def has_errors(self) -> bool:
        """Whether scores on the dataset are wrong, or of other data than the files say."""
        return any(finding.level == "error" for finding in self.findings)


def examine(dataset: Dataset, counter: SupportsTokenLengths | None = None, given: Dataset | None = None) -> Examination:
    """Examine a dataset.

    Args:
        dataset: the dataset as ``load_dataset`` returns it, with the findings of every run.
        counter: counts a model's tokens; without it, texts are measured in characters only.
        given: the dataset as that model gets it; absent: as it is.

    Raises:
        ModelError: the model's tokenizer cannot be used.
    """
    findings, skipped = list(dataset.findings), []
    try:  # the libraries that detect languages come with an extra
        detected, more = languages(dataset)
        findings += more
    except ImportError as error:
        detected = None
        skipped.append(f"languages: {error.name} is not installed; {install_command('doctor')}")
    counted: dict[str, Tokens] = {}
    if counter:
        counted, more = tokens(given or dataset, counter)
        findings += more
    grades = Counter(grade for judged in dataset.qrels.values() for grade in judged.values())
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
        languages=detected,
        model=counter.model if counter else "",
        limit=counter.limit if counter else None,
        tokens=counted,
        # A stable sort: within a level findings stay in the order in which they were made.
        findings=sorted(findings, key=lambda finding: finding.level != "error"),
        skipped=skipped,
    )


def _one_grade(grades: Counter[int]) -> list[Finding]:
    """Return a finding if all relevant documents have the same grade and it is not 1.

    Binary judgments are written as 1, and perhaps 0; another single number may be the column of something else.
    """
    relevant = [grade for grade in grades if grade > 0]
    if len(relevant) != 1 or relevant == [1]:
        return []
    return [
        Finding(
            code="one-grade",
            message=f"relevant documents all have the grade {relevant[0]}; scores are the same as with 1",
            count=grades[relevant[0]],
            fix="check that the last column is the grade; if it is, write 1, which says as much",
        )
    ]
