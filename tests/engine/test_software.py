"""Each kind of model states the software that its numbers depend on; what it imports beside that changes no number."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from textwrap import dedent
from typing import Any

import msgspec
import pytest

from pytest_embedbench.core.measures import DEFAULT_MEASURES
from pytest_embedbench.encode.progress import SilentProgress
from pytest_embedbench.engine.pair_work import PairWork, WorkSettings
from pytest_embedbench.engine.workbench import Workbench
from pytest_embedbench.evaluate.metrics import Scores, score
from pytest_embedbench.machine.environment import NUMERIC_VARIABLES
from pytest_embedbench.results.reuse import SEARCH_LIBRARIES
from pytest_embedbench.suite.model_names import Overrides
from pytest_embedbench.suite.plan import read_suite
from tests.conftest import MakeBeir

ROOT = Path(__file__).resolve().parents[2]

NO_NUMBERS = {
    "files, formats, templates": {"msgspec", "PyYAML", "Jinja2", "MarkupSafe", "safetensors", "filelock", "packaging"},
    "the network": {
        "huggingface_hub", "httpx", "httpx2", "httpcore", "httpcore2", "h11", "anyio", "idna", "certifi", "truststore",
        "requests", "urllib3", "charset-normalizer", "fsspec", "hf-xet", "sniffio",
    },
    "progress bars, types, building": {"tqdm", "typing_extensions", "setuptools", "rich", "typer", "click", "Pygments"},
    "pictures, training and evaluation, which sentence-transformers imports": {
        "pillow", "scikit-learn", "joblib", "threadpoolctl", "cloudpickle", "lz4", "datasets", "accelerate", "psutil", "torchvision", "pandas",
        "pyarrow", "narwhals", "python-dateutil", "six", "dill", "multiprocess", "xxhash", "aiohttp", "model2vec",
    },
    "metrics are computed from the stored ranking each time": {"pytrec_eval-terrier"},
    "scipy's part in scikit-learn, regex's in transformers' slow tokenizers of other kinds": {"scipy", "regex"},
    "adapters, which sentence-transformers imports where it can; a model with one has it in its key": {"peft"},
    "what torch brings and pins": {"sympy", "mpmath", "networkx", "nvidia-ml-py", "triton"},
}  # fmt: skip
"""Reason -> distributions that are imported while numbers are made, but decide none."""

WALK = """
    import json, sys
    from importlib.metadata import packages_distributions
    from pathlib import Path
    from pytest_embedbench.core.measures import DEFAULT_MEASURES
    from pytest_embedbench.encode.progress import SilentProgress
    from pytest_embedbench.engine.pair_work import WorkSettings
    from pytest_embedbench.engine.workbench import Workbench
    from pytest_embedbench.suite.model_names import Overrides
    from pytest_embedbench.suite.plan import read_suite

    folder = Path(sys.argv[1])
    (pair,) = read_suite(folder / "embedbench.toml", Overrides(folder=folder)).pairs
    bench = Workbench(WorkSettings(results=folder / "results", device="cpu"), SilentProgress())
    bench.evaluation(pair, DEFAULT_MEASURES)
    by_module = packages_distributions()
    used = {name for module in list(sys.modules) for name in by_module.get(module.partition(".")[0], ())}
    software = bench.loader.sources.locate(pair.model).software
    print(json.dumps({"used": sorted(used), "software": dict(software)}))
"""

VERSION = "pytest_embedbench.machine.environment.version"
"""The function that is asked for a library's version."""

FUNCTION = "import numpy as np\ndef encode(texts, role):\n    return np.array([[len(t) + 1.0, 1.0] for t in texts])\n"


def suite(folder: Path, model: str, more: str = "") -> Path:
    text = f"[embedbench]\nmodels = ['{model}']\ndatasets = ['facts']\n{more}\n"
    (folder / "embedbench.toml").write_text(text, "utf-8")
    return folder


@pytest.fixture
def evaluate(tmp_path: Path, make_beir: MakeBeir) -> Callable[[str], PairWork]:
    """Return a function that evaluates a model on a small dataset, each time in a workbench of its own."""
    make_beir("facts")

    def work(model: str) -> PairWork:
        (pair,) = read_suite(suite(tmp_path, model) / "embedbench.toml", Overrides(folder=tmp_path)).pairs
        bench = Workbench(WorkSettings(results=tmp_path / "results", device="cpu"), SilentProgress())
        return bench.evaluation(pair, DEFAULT_MEASURES)

    return work


@pytest.mark.parametrize("kind", ["bm25", "function", "checkpoint"])
def test_every_library_that_makes_numbers_is_in_the_key(
    tmp_path: Path, make_beir: MakeBeir, minilm_folder: Path, kind: str
) -> None:
    make_beir("facts")
    model, more = kind, ""
    if kind == "bm25":
        pytest.importorskip("bm25s", reason="needs the extra bm25")
    if kind == "function":
        (tmp_path / "fn_of_a_test.py").write_text(FUNCTION, "utf-8")
        model = "fn_of_a_test:encode"
    if kind == "checkpoint":  # one that sentence-transformers loads, which imports most
        folder = tmp_path / "checkpoint"
        folder.mkdir()
        for path in minilm_folder.iterdir():
            if path.name != "sentence_bert_config.json":
                (folder / path.name).symlink_to(path)
        (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 64, "do_lower_case": true}', "utf-8")
        more = f"[models.checkpoint]\npath = '{folder}'\n"
    suite(tmp_path, model, more)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(tmp_path)]), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", dedent(WALK), str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    walked = json.loads(done.stdout.splitlines()[-1])
    used, keyed = set(walked["used"]), {*walked["software"], *SEARCH_LIBRARIES}
    (file,) = (tmp_path / "results").glob("*/*/facts.json")
    recorded = json.loads(file.read_text("utf-8"))["embedbench"]["environment"]["libraries"]
    assert recorded.items() >= walked["software"].items()
    # torch is imported for the machine's threads, whatever the model.
    aside = set().union(*NO_NUMBERS.values()) | ({"torch"} if kind != "checkpoint" else set())
    assert {"bm25": {"bm25s", "PyStemmer", "scipy"}, "function": {"numpy"}, "checkpoint": {"sentence-transformers"}}[
        kind
    ] <= used
    assert used - keyed - aside == set()


def with_version(monkeypatch: pytest.MonkeyPatch, library: str, version: str) -> None:
    """Let a library have another version, as after an update."""
    monkeypatch.setattr(VERSION, lambda name: version if name == library else metadata.version(name))


@pytest.mark.parametrize("library", ["bm25s", "PyStemmer", "scipy", "numpy", "pytest-embedbench"])
def test_what_ranks_for_bm25_is_in_its_key(
    evaluate: Callable[[str], PairWork], monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    pytest.importorskip("bm25s", reason="needs the extra bm25")
    evaluate("bm25")
    assert evaluate("bm25").reused
    with_version(monkeypatch, library, "0.0.1")
    work = evaluate("bm25")
    assert not work.reused
    environment = work.result.embedbench.environment
    assert environment
    assert environment.libraries[library] == "0.0.1"


@pytest.mark.parametrize("library", ["torch", "transformers", "sentence-transformers", "onnxruntime", "peft"])
def test_what_bm25_does_not_use_leaves_its_results(
    evaluate: Callable[[str], PairWork], monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    pytest.importorskip("bm25s", reason="needs the extra bm25")
    evaluate("bm25")
    with_version(monkeypatch, library, "0.0.1")
    assert evaluate("bm25").reused


def test_scores_of_a_reused_ranking_name_the_library_that_computed_them(
    evaluate: Callable[[str], PairWork], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("bm25s", reason="needs the extra bm25")
    evaluate("bm25")
    with_version(monkeypatch, "pytrec_eval-terrier", "0.0.1")
    unchanged = evaluate("bm25").result.embedbench.environment
    assert unchanged
    assert unchanged.libraries["pytrec_eval-terrier"] != "0.0.1", "it gives the same scores"

    def quarters(*args: Any) -> Scores:
        return {name: dict.fromkeys(values, 0.25) for name, values in score(*args).items()}

    monkeypatch.setattr("pytest_embedbench.engine.pair_results.score", quarters)
    work = evaluate("bm25")
    environment = work.result.embedbench.environment
    assert work.reused
    assert work.means["ndcg@10"] == 0.25
    assert environment
    assert environment.libraries["pytrec_eval-terrier"] == "0.0.1"


@pytest.mark.parametrize("variable", NUMERIC_VARIABLES)
def test_variables_that_change_a_networks_numbers_are_part_of_its_software(
    minilm_folder: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    from pytest_embedbench.models.libraries import BM25_LIBRARIES, checkpoint_software, software
    from pytest_embedbench.models.spec import ModelSpec

    spec = ModelSpec(path=str(minilm_folder))
    before = checkpoint_software(spec, minilm_folder)
    monkeypatch.setenv(variable, "7")
    assert checkpoint_software(spec, minilm_folder) == {**before, variable: "7"}
    assert variable not in software(BM25_LIBRARIES)


def checkpoint(folder: Path, **files: object) -> Path:
    for name, content in files.items():
        text = content if isinstance(content, str) else msgspec.json.encode(content).decode()
        (folder / name.replace("__", ".")).write_text(text, "utf-8")
    return folder


def test_a_checkpoint_depends_on_the_libraries_that_its_files_ask_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pytest_embedbench.models import libraries
    from pytest_embedbench.models.libraries import checkpoint_software
    from pytest_embedbench.models.spec import ModelSpec

    monkeypatch.setattr(VERSION, lambda _: "1")
    monkeypatch.setattr(
        libraries, "packages_distributions", lambda: {"einops": ["einops"], "flash_attn": ["flash-attn"]}
    )

    def names(**keys: object) -> set[str]:
        spec = msgspec.convert({"path": str(tmp_path), **keys}, ModelSpec)
        return set(checkpoint_software(spec, tmp_path)) - {"pytest-embedbench", *libraries.CHECKPOINT_LIBRARIES}

    checkpoint(tmp_path, tokenizer__json="{}", config__json="{}")
    assert names() == set()
    assert {"openvino", "optimum-intel"} <= names(backend="openvino")
    assert "onnxruntime" in names(backend="onnx") - names(backend="openvino")
    checkpoint(tmp_path, modeling__py="import torch, os\ndef run():\n    from einops import rearrange\n")
    assert names() == set()
    assert names(trust_remote_code=True) == {"einops"}
    checkpoint(tmp_path, adapter_config__json="{}")
    assert names() == {"peft"}
    checkpoint(tmp_path, config__json={"quantization_config": {}})
    assert "bitsandbytes" in names()
    (tmp_path / "tokenizer.json").unlink()
    assert {"sentencepiece", "ftfy"} <= names()


def test_an_ordinary_checkpoint_does_not_read_the_table_of_all_distributions(
    minilm_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes a third of a second."""
    from pytest_embedbench.models.libraries import checkpoint_software
    from pytest_embedbench.models.spec import ModelSpec

    def fail() -> None:
        pytest.fail("the table is read")

    monkeypatch.setattr("pytest_embedbench.models.libraries.packages_distributions", fail)
    assert "torch" in checkpoint_software(ModelSpec(path=str(minilm_folder)), minilm_folder)
