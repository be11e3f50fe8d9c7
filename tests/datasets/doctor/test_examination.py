"""A thorough look: facts, languages, lengths, and findings in order."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pytest

from pytest_embedbench.datasets.doctor.examination import examine
from pytest_embedbench.datasets.doctor.languages import evenly_spaced, scripts
from pytest_embedbench.datasets.doctor.lengths import summarize
from pytest_embedbench.datasets.load import with_findings
from pytest_embedbench.datasets.types import DatasetFacts

if TYPE_CHECKING:
    from pytest_embedbench.datasets.types import Role
    from tests.datasets.doctor.conftest import MakeDataset

ENGLISH = [
    f"The {thing} was built in the nineteenth century and has been open to the public ever since, every day of the week."
    for thing in (
        "bridge",
        "castle",
        "library",
        "theatre",
        "station",
        "museum",
        "church",
        "market",
        "harbour",
        "school",
    )
]
GERMAN = "Die Brücke wurde im neunzehnten Jahrhundert gebaut und ist seither jeden Tag für die Öffentlichkeit geöffnet."
NORWEGIAN = (
    "Broen ble bygget på attenhundretallet, og etter det har den vært åpen for alle som vil gå over elven. Hvis du "
    "spør noen i byen hva de liker best her, svarer nesten alle at det er utsikten fra broen om kvelden, når sola "
    "går ned bak fjellene og lysene blir tent."
)
ARABIC = "بني الجسر في القرن التاسع عشر وهو مفتوح للجمهور منذ ذلك الحين في كل يوم من أيام الأسبوع."


class Words(NamedTuple):
    """A model whose tokens are words, two more for a query's prompt."""

    limit: int | None
    model: str = "words"

    def lengths(self, texts: Sequence[str], role: Role) -> list[int]:
        return [len(text.split()) + 2 * (role == "query") for text in texts]


@pytest.fixture
def _detector() -> None:
    for library in ("py3langid", "langcodes"):
        pytest.importorskip(library)


def numbered(texts: Sequence[str]) -> dict[str, str]:
    return {f"d{number}": text for number, text in enumerate(texts, 1)}


def test_facts_of_a_sound_dataset(make_dataset: MakeDataset) -> None:
    dataset = make_dataset(
        qrels={"q1": {"d1": 2, "d2": 0, "d3": 1}, "q2": {"d2": 1}},
        queries={"q1": "how does a volcano erupt", "q2": "how do whales breathe", "t": "of another split"},
        judged_elsewhere=frozenset({"t"}),
    )
    found = examine(with_findings(dataset))
    assert (found.dataset, found.split) == ("facts", "test")
    assert (found.documents, found.unique_texts) == (3, 3)
    assert (found.queries, found.queries_in_file) == (2, 3)
    assert (found.judgments, found.grades) == (4, {2: 1, 1: 2, 0: 1})
    assert list(found.grades) == [2, 1, 0]
    assert found.relevant is not None
    assert (found.relevant.shortest, found.relevant.mean, found.relevant.longest) == (1, 1.5, 2)
    assert (found.characters["queries"].shortest, found.characters["queries"].longest) == (21, 24)
    assert found.characters["documents"].texts == 3
    assert found.scripts == {"LATIN": 1.0}
    assert (found.findings, found.tokens, found.has_errors) == ([], {}, False)


def test_facts_without_judgments(make_dataset: MakeDataset) -> None:
    found = examine(with_findings(make_dataset(qrels={})))
    assert (found.queries, found.judgments, found.grades, found.relevant) == (2, 0, {}, None)
    assert not found.has_errors


def test_errors_come_first_and_make_scores_wrong(make_dataset: MakeDataset) -> None:
    dataset = make_dataset(
        docs={"d1": "one", "d2": "", "d3": "one"}, qrels={"q1": {"d1": 1, "lost": 1}, "q2": {"d2": 1}}
    )
    found = examine(with_findings(dataset))
    codes = [finding.code for finding in found.findings]
    assert codes == ["missing-judged-documents", "empty-documents", "repeated-texts"]
    assert found.has_errors


def test_grades_that_are_all_alike_and_not_1(make_dataset: MakeDataset) -> None:
    (finding,) = examine(with_findings(make_dataset(qrels={"q1": {"d1": 3, "d2": 0}, "q2": {"d2": 3}}))).findings
    assert (finding.code, finding.count, finding.level) == ("one-grade", 2, "warning")
    assert "the grade 3" in finding.message


def test_a_grade_that_is_all_alike_changes_no_score() -> None:
    """``one-grade`` says so."""
    from pytest_embedbench.core.measures import parse_measure
    from pytest_embedbench.core.runs import Run
    from pytest_embedbench.evaluate.metrics import means, score

    run = Run({"q1": [("d2", 2.0), ("d1", 1.0)], "q2": [("d2", 1.0)]})
    measures = [parse_measure(name) for name in ("ndcg@10", "map@10", "mrr@10", "recall@1")]
    of = [means(score(run, {"q1": {"d1": grade}, "q2": {"d2": grade}}, ["q1", "q2"], measures)) for grade in (1, 3)]
    assert of[0] == pytest.approx(of[1])
    assert math.isclose(of[0]["mrr@10"], 0.75)


# Lengths


def test_percentiles_are_those_of_numpy() -> None:
    values = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5]
    found = summarize(values)
    assert found is not None
    assert [found.p50, found.p90, found.p99] == pytest.approx(np.percentile(values, [50, 90, 99]).tolist())
    assert (found.texts, found.shortest, found.longest) == (11, 1, 9)
    assert found.mean == pytest.approx(4)
    assert summarize([]) is None


def test_texts_that_a_model_cuts(make_dataset: MakeDataset) -> None:
    docs = {"d1": "one two three", "d2": "one two three four", "d3": "one two three four five"}
    found = examine(with_findings(make_dataset(docs=docs)), Words(4))
    assert (found.model, found.limit) == ("words", 4)
    assert (found.tokens["documents"].lengths.shortest, found.tokens["documents"].lengths.longest) == (3, 5)
    assert (found.tokens["documents"].cut, found.tokens["queries"].cut) == (1, 2)
    assert [(finding.code, finding.count, finding.first, finding.level) for finding in found.findings] == [
        ("cut-documents", 1, "d3", "warning"),
        ("cut-queries", 2, "q1", "warning"),
    ]
    assert found.findings[0].message.startswith("documents (33.3% of 3) are longer than the 4 tokens of words")


@pytest.mark.parametrize("limit", [None, 100])
def test_no_text_is_cut_below_the_limit_or_without_one(make_dataset: MakeDataset, limit: int | None) -> None:
    found = examine(with_findings(make_dataset()), Words(limit))
    assert (found.limit, found.findings) == (limit, [])
    assert [side.cut for side in found.tokens.values()] == [0, 0]


def test_a_sample_is_even_and_always_the_same() -> None:
    assert evenly_spaced(range(10), 20) == list(range(10))
    assert evenly_spaced(range(10), 5) == [0, 2, 4, 6, 8]
    assert evenly_spaced(range(1_000_003), 500) == evenly_spaced(range(1_000_003), 500)
    assert len(set(evenly_spaced(range(1_000_003), 500))) == 500


# Languages


@pytest.mark.usefixtures("_detector")
def test_documents_in_a_language_that_is_not_declared(make_dataset: MakeDataset) -> None:
    facts = DatasetFacts(languages=["eng-Latn"])
    found = examine(with_findings(make_dataset(docs=numbered([*ENGLISH, GERMAN]), facts=facts)))
    assert found.languages is not None
    assert found.languages.found == {"en": 10, "de": 1}
    assert (found.languages.sampled, found.languages.declared) == (11, ["eng-Latn"])
    (finding,) = found.findings
    assert (finding.code, finding.count, finding.first) == ("undeclared-languages", 1, "d11 (de)")
    assert "(de 9%)" in finding.message


@pytest.mark.usefixtures("_detector")
def test_languages_are_mixed_where_none_is_declared(make_dataset: MakeDataset) -> None:
    (finding,) = examine(with_findings(make_dataset(docs=numbered([*ENGLISH, GERMAN])))).findings
    assert (finding.code, finding.count, finding.first) == ("mixed-languages", 1, "d11 (de)")
    assert finding.message.endswith("most are in en")


@pytest.mark.usefixtures("_detector")
@pytest.mark.parametrize(
    ("text", "code"), [(NORWEGIAN, "nob-Latn"), (ARABIC, "ara-Arab"), (GERMAN, "deu-Latn"), (ENGLISH[0], "eng-Latn")]
)
def test_declared_languages_are_known_by_any_of_their_codes(make_dataset: MakeDataset, text: str, code: str) -> None:
    dataset = make_dataset(docs=numbered([text]), facts=DatasetFacts(languages=[code]))
    found = examine(with_findings(dataset))
    assert [finding for finding in found.findings if "languages" in finding.code] == []
    assert found.languages is not None
    assert sum(found.languages.found.values()) == 1


@pytest.mark.usefixtures("_detector")
@pytest.mark.parametrize("code", ["eng-Latn", "swe-Latn"])
def test_another_language_is_no_relative(make_dataset: MakeDataset, code: str) -> None:
    dataset = make_dataset(docs=numbered([NORWEGIAN]), facts=DatasetFacts(languages=[code]))
    assert "undeclared-languages" in [finding.code for finding in examine(with_findings(dataset)).findings]


@pytest.mark.usefixtures("_detector")
def test_texts_in_no_language_are_left_out(make_dataset: MakeDataset) -> None:
    docs = numbered([*ENGLISH, "12 345 678,90", "", "- - -", "x"])
    found = examine(with_findings(make_dataset(docs=docs, facts=DatasetFacts(languages=["eng-Latn"]))))
    assert found.languages is not None
    assert found.languages.found == {"en": 10}
    assert [finding.code for finding in found.findings] == ["empty-documents"]


@pytest.mark.parametrize("library", ["py3langid.langid", "langcodes"])
def test_without_the_extra_the_check_is_skipped_with_its_name(
    make_dataset: MakeDataset, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    found = examine(with_findings(make_dataset()))
    assert found.languages is None
    (reason,) = found.skipped
    assert reason.startswith("languages: ")
    assert "pytest-embedbench[doctor]" in reason


def test_scripts_by_share_of_letters(make_dataset: MakeDataset) -> None:
    found = scripts(make_dataset(docs={"d1": "abcdef 123 ...", "d2": "где", "d3": "µ"}))
    assert found == {"LATIN": 0.6, "CYRILLIC": 0.3, "MICRO": 0.1}
    rare = scripts(make_dataset(docs={"d1": "abc" * 333, "d2": "abc", "d3": "µ"}))
    assert list(rare) == ["LATIN"]
    assert scripts(make_dataset(docs={"d1": "1 2 3"})) == {}
