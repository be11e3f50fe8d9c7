"""Read a dataset of the ir_datasets package, which downloads and caches its files itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, NoReturn

from pytest_embedbench.datasets.gather import DatasetContent, collect_judgments, texts_by_id, whole_grade
from pytest_embedbench.datasets.reader import Reader, refuse_split
from pytest_embedbench.datasets.spec import DatasetSpec
from pytest_embedbench.datasets.types import Finding
from pytest_embedbench.errors import DatasetError, needs_extra
from pytest_embedbench.remote import hub

IRDS_PREFIX = "irds:"
"""Start of the names of these datasets, in suites and messages: ``irds:beir/nfcorpus/test``."""

DATASET_PARTS = ("docs", "queries", "qrels")
"""Names of the parts in the package's methods: ``has_docs``, ``docs_iter``."""


class IrDatasetsReader(Reader):
    """Datasets of the ir_datasets package, by their id."""

    def reads(self, spec: DatasetSpec) -> bool:
        return bool(spec.ir_datasets)

    def read(self, spec: DatasetSpec) -> DatasetContent:
        return read_ir_dataset(spec.ir_datasets)

    def check(self, spec: DatasetSpec) -> None:
        where = f"{IRDS_PREFIX}{spec.ir_datasets}"
        # Looked up rather than imported: every session reads its suite, and must not wait for a large package.
        if find_spec("ir_datasets") is None:
            raise needs_extra("irds", "ir_datasets", DatasetError, where=where)
        refuse_split(spec, where, "the id already says which judgments are used")

    def spec_of(self, name: str) -> DatasetSpec | None:
        if name.casefold().startswith(IRDS_PREFIX):
            return DatasetSpec(ir_datasets=name[len(IRDS_PREFIX) :])
        return None


def read_ir_dataset(name: str) -> DatasetContent:
    """Read the dataset with this id; texts are the package's ``default_text()``, which for BEIR is title and text.

    Raises:
        DatasetError: the package is not installed, the dataset is unknown or cannot be downloaded, or it has no
            documents or queries.
    """
    where = f"{IRDS_PREFIX}{name}"
    try:
        import ir_datasets
    except ImportError:
        raise needs_extra("irds", "ir_datasets", DatasetError, where=where) from None
    try:
        dataset = ir_datasets.load(name)
    except KeyError:
        fix = "use one of the ids on https://ir-datasets.com"
        raise DatasetError("ir_datasets has no such dataset", where=where, fix=fix) from None
    has = {part: bool(getattr(dataset, f"has_{part}")()) for part in DATASET_PARTS}
    if not has["docs"] or not has["queries"]:
        parts = ", ".join(part for part in DATASET_PARTS if has[part]) or "nothing that a ranking needs"
        fix = f"use an id with documents and queries, as in {where}/test"
        raise DatasetError(f"the dataset has {parts}, but a ranking needs documents and queries", where=where, fix=fix)
    with _downloads(allowed=not hub.offline()):
        try:
            return _read(dataset, name, judged=has["qrels"])
        except DatasetError:
            raise
        except Exception as error:  # the package's loaders raise whatever the libraries of their formats raise
            cause = ": ".join([type(error).__name__, *str(error).splitlines()[:1]])
            raise DatasetError(f"ir_datasets could not load the dataset ({cause})", where=where) from error


def _read(dataset: Any, name: str, *, judged: bool) -> DatasetContent:
    findings: list[Finding] = []
    title_lengths: dict[str, int] = {}
    queries = ((str(query.query_id), query.default_text() or "", "") for query in dataset.queries_iter())
    return DatasetContent(
        docs=texts_by_id(_docs(dataset), "document", f"{IRDS_PREFIX}{name}", findings, title_lengths),
        queries=texts_by_id(queries, "query", f"{IRDS_PREFIX}{name}", findings),
        qrels=collect_judgments(_judgments(dataset, name) if judged else (), findings),
        findings=findings,
        split=name.rpartition("/")[2] if judged else "",
        judgments_from=f"{IRDS_PREFIX}{name}",
        title_lengths=title_lengths,
    )


def _docs(dataset: Any) -> Iterator[tuple[str, str, str]]:
    """Yield each document's id, text and the title that the text begins with."""
    for doc in dataset.docs_iter():
        text, title = doc.default_text() or "", str(getattr(doc, "title", None) or "").strip()
        yield str(doc.doc_id), text, title if text.lstrip().startswith(title) else ""


def _judgments(dataset: Any, name: str) -> Iterator[tuple[str, str, int]]:
    for number, qrel in enumerate(dataset.qrels_iter(), 1):
        where = f"{IRDS_PREFIX}{name}: judgment {number}"
        yield str(qrel.query_id), str(qrel.doc_id), whole_grade(qrel.relevance, where)


@contextmanager
def _downloads(*, allowed: bool) -> Iterator[None]:
    """Let the package download, or raise before it opens a connection.

    The package has no offline setting. Its downloads get the HTTP library from ``lazy_libs.requests()``, so this
    function is replaced.
    """
    from ir_datasets import lazy_libs

    original = lazy_libs.requests

    def refuse() -> NoReturn:
        problem = "its files are not all here, and the session is offline"
        raise DatasetError(problem, where="ir_datasets", fix="load it once with a connection, in Python or by a run")

    lazy_libs.requests = original if allowed else refuse
    try:
        yield
    finally:
        lazy_libs.requests = original
