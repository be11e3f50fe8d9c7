"""Datasets of the catalogue: all that users will name, each with its facts, under names that mean one thing."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from pytest_embedbench import catalog
from pytest_embedbench.catalog import published
from pytest_embedbench.core.measures import Measure, parse_measure
from pytest_embedbench.datasets.load import load_dataset
from pytest_embedbench.datasets.spec import DatasetSpec, NamedDataset
from pytest_embedbench.plausibility.check import check_row
from pytest_embedbench.plausibility.rows import ReportedRow, ReportedValue
from pytest_embedbench.suite.model_names import Names, Overrides
from pytest_embedbench.suite.tables import SuiteTables

FORUMS = (
    "Android", "English", "Gaming", "Gis", "Mathematica", "Physics", "Programmers", "Stats", "Tex", "Unix",
    "Webmasters", "Wordpress",
)  # fmt: skip

BEIR = {
    *(f"CQADupstack{forum}Retrieval" for forum in FORUMS),
    "ArguAna", "ClimateFEVER", "DBPedia", "FEVER", "FiQA2018", "HotpotQA", "MSMARCO", "NFCorpus", "NQ",
    "QuoraRetrieval", "SCIDOCS", "SciFact", "TRECCOVID", "Touche2020",
}  # fmt: skip
"""As MTEB names them; BEIR's other four sets need a licence, and MTEB has no task for them."""

NANO = {
    "NanoArguAnaRetrieval", "NanoClimateFeverRetrieval", "NanoDBPediaRetrieval", "NanoFEVERRetrieval",
    "NanoFiQA2018Retrieval", "NanoHotpotQARetrieval", "NanoMSMARCORetrieval", "NanoNFCorpusRetrieval",
    "NanoNQRetrieval", "NanoQuoraRetrieval", "NanoSCIDOCSRetrieval", "NanoSciFactRetrieval", "NanoTouche2020Retrieval",
}  # fmt: skip

OTHER_TASKS = {"TRECDL2019", "TRECDL2020", "Touche2020Retrieval.v3"}

FILES_OF_THE_USER = {
    "ARCD", "Cranfield", "NorQuAD", "agentset-arcd", "agentset-business-reports", "agentset-dbpedia",
    "agentset-msmarco", "agentset-pg",
}  # fmt: skip

ON_THE_HUB = BEIR | NANO | OTHER_TASKS

COMMIT = re.compile(r"[0-9a-f]{40}")
CODE = re.compile(r"[a-z]{3}-[A-Z][a-z]{3}")


def known(name: str) -> DatasetSpec:
    found = catalog.find(catalog.datasets(), name)
    assert found, name
    return found[1]


# What is there


def test_every_dataset_that_users_name_is_there_and_no_other() -> None:
    assert set(catalog.datasets()) == ON_THE_HUB | FILES_OF_THE_USER | {"builtin"}


@pytest.mark.parametrize("name", sorted(ON_THE_HUB | FILES_OF_THE_USER))
def test_every_dataset_has_the_facts_that_a_card_prints(name: str) -> None:
    spec = catalog.datasets()[name]
    assert all((spec.domain, spec.language, spec.description, spec.licence, spec.instruction))
    assert spec.languages
    assert all(CODE.fullmatch(code) for code in spec.languages)
    assert spec.reference.startswith(("http://", "https://"))
    for text in (spec.description, spec.instruction):
        assert text == text.strip()
        assert "\n" not in text
        assert not text.endswith(".")  # an instruction goes into `Instruct: {task}\nQuery:` as MTEB has it


@pytest.mark.parametrize("name", sorted(ON_THE_HUB))
def test_what_is_on_the_hub_is_pinned_and_names_its_mteb_task(name: str) -> None:
    spec = catalog.datasets()[name]
    assert spec.mteb_task == name
    assert re.fullmatch(r"[\w.-]+/[\w.-]+", spec.hub_dataset)
    assert COMMIT.fullmatch(spec.revision)
    assert not spec.path


def test_no_two_datasets_are_one_commit_or_one_repository() -> None:
    specs = [catalog.datasets()[name] for name in ON_THE_HUB]
    assert len({spec.revision for spec in specs}) == len({spec.hub_dataset for spec in specs}) == len(specs)


@pytest.mark.parametrize("name", sorted(FILES_OF_THE_USER))
def test_what_the_user_has_claims_neither_a_task_nor_a_repository(name: str) -> None:
    """Published values of MTEB would be compared with other data otherwise."""
    spec = catalog.datasets()[name]
    assert (spec.mteb_task, spec.hub_dataset, spec.revision, spec.path, spec.split) == ("", "", "", "", "")


def test_the_built_in_dataset_is_in_the_package_and_has_an_instruction() -> None:
    spec = catalog.datasets()["builtin"]
    assert spec.path == "builtin:"
    assert spec.instruction


def test_splits_are_named_where_they_are_not_test() -> None:
    splits = {name: spec.split for name, spec in catalog.datasets().items() if spec.split}
    assert splits == {"MSMARCO": "dev", **dict.fromkeys(NANO, "train")}


def test_a_querys_own_document_is_dropped_where_mteb_drops_it() -> None:
    dropped = {name for name, spec in catalog.datasets().items() if spec.drop_self}
    assert dropped == {"ArguAna", "FEVER", "FiQA2018", "MSMARCO", "QuoraRetrieval", "TRECDL2019", "TRECDL2020"}


# Names


def test_a_name_means_one_dataset_whatever_its_case() -> None:
    names = [name for alias, spec in catalog.datasets().items() for name in (alias, *spec.aliases)]
    assert [name for name, count in Counter(map(str.casefold, names)).items() if count > 1] == []
    assert not [name for name in names if "@" in name]  # what follows one is a split


@pytest.mark.parametrize(
    ("name", "dataset"),
    [
        # BEIR's folders
        ("arguana", "ArguAna"),
        ("climate-fever", "ClimateFEVER"),
        ("cqadupstack-tex", "CQADupstackTexRetrieval"),
        ("dbpedia-entity", "DBPedia"),
        ("fiqa", "FiQA2018"),
        ("msmarco", "MSMARCO"),
        ("nfcorpus", "NFCorpus"),
        ("quora", "QuoraRetrieval"),
        ("scifact", "SciFact"),
        ("trec-covid", "TRECCOVID"),
        ("webis-touche2020", "Touche2020"),
        # NanoBEIR's own names
        ("NanoFiQA2018", "NanoFiQA2018Retrieval"),
        ("nanonfcorpus", "NanoNFCorpusRetrieval"),
        ("NanoQuora", "NanoQuoraRetrieval"),
        # as leaderboards print them
        ("FiQa", "FiQA2018"),
        ("PG", "agentset-pg"),
        ("business-reports", "agentset-business-reports"),
        # near each other, and not the same
        ("norquad", "NorQuAD"),
        ("webis-touche2020-v3", "Touche2020Retrieval.v3"),
    ],
)
def test_other_names_find_their_dataset(name: str, dataset: str) -> None:
    assert catalog.find(catalog.datasets(), name) == (dataset, catalog.datasets()[dataset])


@pytest.mark.parametrize("name", ["english", "android", "nano", "cqadupstack", "test", "data"])
def test_a_folder_of_a_common_name_gets_no_facts(name: str) -> None:
    assert catalog.find(catalog.datasets(), name) is None


# Sizes


def test_every_task_has_a_published_size_except_where_its_splits_are_judged_differently() -> None:
    assert set(published.sizes()) == ON_THE_HUB - {"MSMARCO"}
    assert published.size_of("msmarco") is None


@pytest.mark.parametrize("name", sorted(ON_THE_HUB - {"MSMARCO"}))
def test_a_size_is_of_the_split_that_is_scored_and_says_its_source(name: str) -> None:
    size = published.sizes()[name]
    assert size.split == (known(name).split or "test")
    assert 0 < size.unique_texts <= size.documents
    assert size.queries > 0
    assert size.source.startswith(f"MTEB, descriptive_stats/Retrieval/{name}.json; ")


def test_samples_are_smaller_than_what_they_are_drawn_from() -> None:
    pairs = {
        "NanoClimateFeverRetrieval": "ClimateFEVER",
        "NanoMSMARCORetrieval": "TRECDL2019",  # the same corpus as MSMARCO
        "NanoQuoraRetrieval": "QuoraRetrieval",
    }
    for nano in NANO:
        whole = published.size_of(pairs.get(nano, nano.removeprefix("Nano").removesuffix("Retrieval")))
        assert whole, nano
        size = published.sizes()[nano]
        assert size.documents < whole.documents
        assert size.queries == (49 if nano == "NanoTouche2020Retrieval" else 50)


def test_graded_numbers_of_ms_marco_are_not_called_impossible() -> None:
    """Its `dev` is binary and its `test` is not; a card names no split."""
    scores = {
        "ndcg@10": ReportedValue.printed("0.7000"),
        "map@10": ReportedValue.printed("0.7200"),
        "mrr@10": ReportedValue.printed("0.9700"),
    }
    for name, levels in {"MSMARCO": set[str](), "TRECDL2019": set[str](), "SciFact": {"error"}}.items():
        found = check_row(ReportedRow(dataset=name, scores=dict(_measured(scores))))
        assert {finding.level for finding in found if finding.level != "note"} == levels


def _measured(scores: dict[str, ReportedValue]) -> list[tuple[Measure, ReportedValue]]:
    return [(parse_measure(name), value) for name, value in scores.items()]


# Real copies


def test_the_real_nfcorpus_has_the_published_size_and_grades(shared: Path) -> None:
    spec = DatasetSpec(path=str(shared / "data" / "nfcorpus"))
    dataset = load_dataset(NamedDataset(alias="NFCorpus", spec=spec))
    size = published.size_of("nfcorpus")
    assert size
    counted = (len(dataset.doc_ids), dataset.unique_texts, len(dataset.judged_queries), dataset.split)
    assert counted == (size.documents, size.unique_texts, size.queries, size.split)
    grades = {grade for judged in dataset.qrels.values() for grade in judged.values() if grade > 0}
    assert size.judgments == ("graded" if len(grades) > 1 else "binary")


def test_every_folder_of_real_data_gets_the_facts_of_its_name(shared: Path) -> None:
    folders = sorted(path for path in (shared / "data").iterdir() if path.is_dir())
    assert folders
    for folder in folders:
        overrides = Overrides(folder=folder.parent, datasets=(folder.name,))
        (named,) = Names(Path("embedbench.toml"), SuiteTables(), overrides).datasets()
        assert named.alias == folder.name
        assert named.spec.facts() == known(folder.name).facts()
        assert named.spec.path == str(folder.resolve())


@pytest.mark.parametrize("name", ["norquad", "arcd", "agentset-dbpedia", "agentset-msmarco"])
def test_real_data_that_are_not_mtebs_are_not_taken_for_them(name: str, shared: Path) -> None:
    spec = DatasetSpec(path=str(shared / "data" / name))
    dataset = load_dataset(NamedDataset(alias=name, spec=spec))
    assert len(dataset.doc_ids) not in {size.documents for size in published.sizes().values()}
    assert not known(name).mteb_task


@pytest.mark.parametrize(("name", "judged"), [("agentset-pg", 0), ("agentset-business-reports", 11)])
def test_descriptions_of_collections_with_few_judgments_are_true(name: str, judged: int, shared: Path) -> None:
    dataset = load_dataset(NamedDataset(alias=name, spec=DatasetSpec(path=str(shared / "data" / name))))
    assert (len(dataset.query_ids), len(dataset.judged_queries)) == (50, judged)
    assert "50 questions" in known(name).description


@pytest.mark.parametrize(
    ("name", "queries", "documents"), [("agentset-arcd", 50, "255"), ("agentset-dbpedia", 50, "5,000")]
)
def test_descriptions_of_samples_state_their_size(name: str, queries: int, documents: str, shared: Path) -> None:
    dataset = load_dataset(NamedDataset(alias=name, spec=DatasetSpec(path=str(shared / "data" / name))))
    assert len(dataset.query_ids) == queries
    assert f"{len(dataset.doc_ids):,}" == documents
    assert f"{queries} " in known(name).description
    assert documents in known(name).description
