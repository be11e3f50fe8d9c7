"""What a dataset's name means on the command line and in a suite; nothing is downloaded to find out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_embedbench import catalog
from pytest_embedbench.datasets.load import load_dataset
from pytest_embedbench.datasets.spec import NamedDataset
from pytest_embedbench.errors import ConfigurationError
from pytest_embedbench.suite.model_names import Names, Overrides
from pytest_embedbench.suite.tables import SuiteTables, decode

if TYPE_CHECKING:
    from tests.conftest import MakeBeir


@pytest.fixture(autouse=True)
def _online(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names are found without a connection, and without knowing that there is none."""
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.delenv("TRANSFORMERS_OFFLINE", raising=False)


def named(name: str, folder: Path) -> NamedDataset:
    overrides = Overrides(datasets=(name,), folder=folder)
    (found,) = Names(folder / "embedbench.toml", SuiteTables(), overrides).datasets()
    return found


def defined(text: str, folder: Path) -> NamedDataset:
    path = folder / "embedbench.toml"
    path.write_text(text, encoding="utf-8")
    (found,) = Names(path, decode(path), Overrides()).datasets()
    return found


def test_a_catalogue_name_is_on_the_hub_unless_a_folder_is_given(make_beir: MakeBeir, tmp_path: Path) -> None:
    entry = catalog.datasets()["NFCorpus"]
    found = named("nfcorpus", tmp_path)
    assert (found.alias, found.spec) == ("NFCorpus", entry)
    assert found.spec.hub_dataset == "mteb/nfcorpus"
    make_beir("nfcorpus")
    here = named("nfcorpus", tmp_path)
    assert (here.alias, here.spec.path) == ("nfcorpus", str(tmp_path / "nfcorpus"))
    assert here.spec.description == entry.description
    assert here.spec.revision == "", "nobody knows which revision a folder holds"


@pytest.mark.parametrize("name", ["mteb/nfcorpus", "MTEB/NFCorpus"])
def test_the_hub_id_of_a_catalogue_entry_is_that_entry(tmp_path: Path, name: str) -> None:
    assert named(name, tmp_path) == named("NFCorpus", tmp_path)


def test_any_other_hub_id_is_a_dataset_of_its_own(tmp_path: Path) -> None:
    found = named("zeta-alpha-ai/NanoTests", tmp_path)
    assert (found.alias, found.spec.hub_dataset, found.spec.path) == ("zeta-alpha-ai/NanoTests",) * 2 + ("",)
    assert named("zeta-alpha-ai/NanoTests@dev", tmp_path).alias == "zeta-alpha-ai/NanoTests@dev"
    assert named("zeta-alpha-ai/NanoTests@dev", tmp_path).spec.split == "dev"


def test_a_catalogue_name_may_have_a_split(tmp_path: Path) -> None:
    found = named("nfcorpus@dev", tmp_path)
    assert (found.alias, found.spec.split) == ("NFCorpus@dev", "dev")


@pytest.mark.parametrize("name", ["tickets.v2.csv", "sub/tickets.v2.tsv", "tickets.v2.jsonl.gz", "tickets.v2.parquet"])
def test_a_table_is_called_by_its_name(tmp_path: Path, name: str) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / name).write_bytes(b"query,document\nq,d\n")
    found = named(name, tmp_path)
    assert (found.alias, found.spec.path) == ("tickets.v2", str(tmp_path / name))


def test_an_archive_is_called_by_its_name_and_has_the_catalogue_s_facts(make_beir: MakeBeir, tmp_path: Path) -> None:
    from tests.datasets.test_same_data import zipped

    zipped(make_beir("folder"), tmp_path / "scifact.zip", "scifact/")
    found = named("scifact.zip", tmp_path)
    assert found.alias == "scifact"
    known = catalog.find(catalog.datasets(), "scifact")
    assert known is not None
    assert found.spec.description == known[1].description
    assert load_dataset(found).doc_ids == ["d1", "d2"]


def test_an_id_of_ir_datasets(tmp_path: Path) -> None:
    pytest.importorskip("ir_datasets")
    found = named("irds:beir/nfcorpus/test", tmp_path)
    assert (found.alias, found.spec.ir_datasets) == ("irds:beir/nfcorpus/test", "beir/nfcorpus/test")


def test_definitions(make_beir: MakeBeir, tmp_path: Path) -> None:
    make_beir("data")
    local = defined("[datasets.mine]\npath = 'data'\nhub_dataset = 'org/name'", tmp_path)
    assert (local.spec.path, load_dataset(local).revision) == (str(tmp_path / "data"), "")
    hub = defined("[datasets.mine]\nhub_dataset = 'org/name'\nrevision = 'v2'\nsubset = 'ar'", tmp_path)
    assert (hub.alias, hub.spec.hub_dataset, hub.spec.revision, hub.spec.subset) == ("mine", "org/name", "v2", "ar")
    pytest.importorskip("ir_datasets")
    assert defined("[datasets.mine]\nir_datasets = 'vaswani'", tmp_path).spec.ir_datasets == "vaswani"


@pytest.mark.parametrize(
    ("text", "problem", "fix"),
    [
        ("path = 'a.csv'\nir_datasets = 'b'", "both path and ir_datasets say where the dataset is", "give one of them"),
        ("path = 'a.csv'", "{at}/a.csv: no such file", "give a table with the columns query, document and score"),
        ("path = 'a.zip'", "{at}/a.zip: no such file", "give a BEIR folder or a .zip of one"),
        ("split = 'dev'", "does not say where the dataset is", "give path, a BEIR folder; or hub_dataset, ir_datasets"),
    ],
)
def test_bad_definitions(tmp_path: Path, text: str, problem: str, fix: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        defined(f"[datasets.mine]\n{text}", tmp_path)
    error = caught.value
    wanted = ("embedbench.toml: datasets.mine", problem.format(at=tmp_path), fix)
    assert (error.where, error.problem, error.fix) == wanted


@pytest.mark.parametrize("name", ["gone.csv", "sub/gone.parquet", "gone.zip"])
def test_a_file_that_is_not_there_is_no_hub_id(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"--embed-dataset: {tmp_path / name}: no such file"):
        named(name, tmp_path)


def test_offline_a_hub_dataset_that_is_not_cached_is_found_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    with pytest.raises(ConfigurationError) as caught:
        named("NFCorpus", tmp_path)
    error = caught.value
    assert error.where == "--embed-dataset"
    assert error.problem.startswith("dataset 'NFCorpus' is known, but its files are not here: mteb/nfcorpus@")
    assert error.fix.startswith("connect to the Hub once (hf download mteb/nfcorpus --repo-type dataset --revision ")
    assert error.fix.endswith("or give its folder: --embed-dataset=PATH")


@pytest.mark.parametrize(
    ("text", "drops"),
    [
        ("[datasets.arguana]\npath = 'data'", True),
        ("[datasets.ArguAna]\npath = 'data'", True),
        ("[datasets.mine]\npath = 'data'\nhub_dataset = 'mteb/arguana'", True),
        ("[datasets.arguana]\npath = 'data'\ndrop_self = false", False),
        ("[datasets.mine]\npath = 'data'\ndrop_self = true", True),
        ("[datasets.mine]\npath = 'data'", False),
        ("[datasets.scifact]\npath = 'data'", False),
    ],
)
def test_a_defined_dataset_drops_what_its_catalogue_entry_drops(
    make_beir: MakeBeir, tmp_path: Path, text: str, drops: bool
) -> None:
    make_beir("data", docs=[{"_id": "d1", "text": "first"}, {"_id": "q1", "text": "which is first"}])
    assert load_dataset(defined(text, tmp_path)).drop_self is drops


@pytest.mark.parametrize(
    ("name", "drops"), [("irds:beir/arguana", True), ("irds:beir/quora/test", True), ("irds:beir/scifact/test", False)]
)
def test_an_id_of_ir_datasets_drops_what_its_catalogue_entry_drops(tmp_path: Path, name: str, drops: bool) -> None:
    pytest.importorskip("ir_datasets")
    assert bool(named(name, tmp_path).spec.drop_self) is drops
