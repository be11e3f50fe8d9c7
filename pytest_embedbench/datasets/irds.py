"""Read a dataset of the ir_datasets package, which downloads and keeps what it needs by itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from pytest_embedbench.datasets.gather import Content, collect_judgments, texts_by_id, whole_grade
from pytest_embedbench.datasets.types import Finding
from pytest_embedbench.errors import DatasetError
from pytest_embedbench.remote import hub

MISSING = "ir_datasets is not installed; pip install 'pytest-embedbench[irds]'"
PARTS = ("docs", "queries", "qrels")


def read_ir_dataset(name: str) -> Content:
    """Read the dataset with this id. Texts are the package's ``default_text()``, of BEIR's documents title and text.

    Raises:
        DatasetError: the package or the dataset is not to be had, or lacks documents or queries.
    """
    try:
        import ir_datasets
    except ImportError:
        raise DatasetError(f"irds:{name}: {MISSING}") from None
    try:
        dataset = ir_datasets.load(name)
    except KeyError:
        problem = "ir_datasets knows no such dataset; https://ir-datasets.com lists those that there are"
        raise DatasetError(f"irds:{name}: {problem}") from None
    has = {part: bool(getattr(dataset, f"has_{part}")()) for part in PARTS}
    if not has["docs"] or not has["queries"]:
        there = ", ".join(part for part in PARTS if has[part]) or "nothing that a ranking needs"
        raise DatasetError(f"irds:{name}: it has {there}; documents and queries are needed, as in irds:{name}/test")
    with _downloads(allowed=not hub.offline()):
        try:
            return _read(dataset, name, judged=has["qrels"])
        except DatasetError:
            raise
        except Exception as error:  # the package's loaders raise whatever their format's libraries do
            cause = ": ".join([type(error).__name__, *str(error).splitlines()[:1]])
            raise DatasetError(f"irds:{name}: ir_datasets could not give it ({cause})") from error


def _read(dataset: Any, name: str, *, judged: bool) -> Content:
    findings: list[Finding] = []
    docs = ((str(doc.doc_id), doc.default_text() or "") for doc in dataset.docs_iter())
    queries = ((str(query.query_id), query.default_text() or "") for query in dataset.queries_iter())
    return Content(
        docs=texts_by_id(docs, "document", f"irds:{name}", findings),
        queries=texts_by_id(queries, "query", f"irds:{name}", findings),
        qrels=collect_judgments(_judgments(dataset, name) if judged else (), findings),
        findings=findings,
        split=name.rpartition("/")[2] if judged else "",
    )


def _judgments(dataset: Any, name: str) -> Iterator[tuple[str, str, int]]:
    for number, qrel in enumerate(dataset.qrels_iter(), 1):
        yield str(qrel.query_id), str(qrel.doc_id), whole_grade(qrel.relevance, f"irds:{name}: judgment {number}")


@contextmanager
def _downloads(*, allowed: bool) -> Iterator[None]:
    """Let the package download, or raise before it opens a connection: it has no setting for that.

    Its downloads take the HTTP library from ``lazy_libs.requests()``, so that is where they are stopped.
    """
    from ir_datasets import lazy_libs

    usual = lazy_libs.requests

    def refuse() -> NoReturn:
        problem = "its files are not all here, and the session is offline"
        raise DatasetError(f"ir_datasets: {problem}; load it once with a connection, in Python or by a run")

    lazy_libs.requests = usual if allowed else refuse
    try:
        yield
    finally:
        lazy_libs.requests = usual
