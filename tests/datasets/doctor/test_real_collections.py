"""Findings on real collections: the defects that their README names, and what was counted by hand in their files."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_embedbench.datasets.doctor.examination import Examination, examine
from pytest_embedbench.datasets.load import load_dataset
from pytest_embedbench.datasets.spec import DatasetSpec, NamedDataset

REAL: dict[str, dict[str, tuple[int, str]]] = {
    # folder -> errors and warnings with their counts, in order; languages from the catalogue or MTEB
    "nfcorpus eng-Latn": {"repeated-texts": (40, "warning")},
    "cranfield eng-Latn": {"empty-documents": (2, "warning"), "repeated-texts": (1, "warning")},
    "norquad nob-Latn": {},
    "arcd ara-Arab": {"repeated-query-texts": (3, "warning")},
    "agentset-arcd ara-Arab": {
        "missing-judged-queries": (652, "error"),
        "missing-judged-documents": (6, "error"),
        "repeated-query-texts": (1, "warning"),
    },
    "agentset-business-reports eng-Latn": {"unjudged-queries": (39, "warning")},
    "agentset-dbpedia eng-Latn": {"unjudged-queries": (10, "warning")},
    "agentset-msmarco eng-Latn": {
        "qrels-without-header": (1, "warning"),
        "repeated-texts": (1, "warning"),
        "unjudged-queries": (7, "warning"),
    },
    "agentset-pg eng-Latn": {"repeated-texts": (21, "warning"), "no-judgments": (50, "warning")},
}


def look(shared: Path, name: str, *languages: str) -> Examination:
    spec = DatasetSpec(path=str(shared / "data" / name), languages=list(languages))
    return examine(load_dataset(NamedDataset(alias=name, spec=spec)))


@pytest.mark.parametrize("case", REAL)
def test_known_defects_are_found_and_no_others(shared: Path, case: str) -> None:
    for library in ("py3langid", "langcodes"):
        pytest.importorskip(library)
    name, language = case.split()
    found = look(shared, name, language)
    assert {finding.code: (finding.count, finding.level) for finding in found.findings} == REAL[case]
    assert all(finding.fix for finding in found.findings)
    assert found.has_errors == (name == "agentset-arcd")
    assert found.skipped == []


def test_grades_and_languages_of_a_graded_collection(shared: Path) -> None:
    pytest.importorskip("py3langid")
    found = look(shared, "nfcorpus", "eng-Latn")
    assert found.grades == {2: 576, 1: 11_758}
    assert found.languages is not None
    assert list(found.languages.found) == ["en"]
    assert found.scripts["LATIN"] > 0.99


def test_a_language_that_is_declared_wrongly(shared: Path) -> None:
    for library in ("py3langid", "langcodes"):
        pytest.importorskip(library)
    codes = [finding.code for finding in look(shared, "arcd", "eng-Latn").findings]
    assert "undeclared-languages" in codes
