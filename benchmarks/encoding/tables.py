"""Tables of the measurements in Markdown: medians, with the smallest and the largest value in brackets."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable
from typing import Any

from encoding.book import Part, Record
from tabulate import tabulate

PEER = "sentence-transformers"
MB = 1e6
FIRST = " (first run)"
"""Ending of a system's name whose first run has a row of its own: it chooses settings that later runs remember."""


def median(records: Iterable[Record], key: Callable[[Record], float]) -> float:
    return statistics.median(map(key, records))


def wall(record: Record) -> float:
    return float(record["seconds"])


def ratio(part: Part, system: str) -> float | None:
    """Return sentence-transformers' time divided by the system's, above 1 if that is faster; None if one is missing."""
    runs = part["runs"]
    if not runs.get(PEER) or not runs.get(system):
        return None
    return median(runs[PEER], wall) / median(runs[system], wall)


def encoding_seconds(record: Record) -> float:
    """Return the seconds in which the model ran, for queries and documents."""
    effort = record.get("effort")
    return float(effort["corpus_seconds"] + effort["query_seconds"] if effort else record["phases"]["encode"])


def share(part: Part, records: list[Record]) -> float | None:
    """Return the share of the machine's matrix rate: the corpus's operations over the seconds that encoding took.

    Of peers only the seconds of queries and documents together are known, so their share is a little too small.
    """
    rates = part["runs"].get(f"matrix {records[0].get('dtype', 'fp32')}", [])
    rates = [record["rate"] for record in rates if record["rate"]]
    if not rates:
        return None
    seconds = median(records, lambda record: record.get("effort", {}).get("corpus_seconds") or encoding_seconds(record))
    return float(part["operations"] / seconds / statistics.median(rates))


def _spread(values: list[float], digits: int) -> str:
    middle, low, high = statistics.median(values), min(values), max(values)
    return f"{middle:.{digits}f}" + (f" ({low:.{digits}f}-{high:.{digits}f})" if len(values) > 1 else "")


def _row(part: Part, system: str, records: list[Record]) -> dict[str, str]:
    faster, reached = ratio(part, system), share(part, records)
    ndcg = median(records, lambda record: record["ndcg@10"])
    reference = part.get("reference")
    dtype = records[0].get("dtype", "")
    return {
        "system": f"pytest-embedbench {system}" + (f": {dtype}" if system.startswith("auto") else "")
        if dtype
        else system,
        "whole process, s": _spread([wall(record) for record in records], 1),
        f"vs {PEER}": f"{faster:.2f}x" if faster else "",
        "encoding, s": _spread([encoding_seconds(record) for record in records], 1),
        "matrix rate": f"{reached:.0%}" if reached else "",
        "peak, MB": _spread([record["peak_bytes"] / MB for record in records], 0),
        "nDCG@10": f"{ndcg:.5f}",
        # The peer's judgments have no grades, so its nDCG is another measure.
        "to the reference": "" if reference is None or system == PEER else f"{ndcg - reference:+.5f}",
    }


def collection_table(name: str, part: Part) -> str:
    """Return the table of a collection's systems, and the conditions of the runs."""
    rows = [
        _row(part, system, records)
        for system, records in part["runs"].items()
        if records and not system.startswith("matrix")
    ]
    rates = [
        f"{system.removeprefix('matrix ')} {_spread([one['rate'] / 1e9 for one in records], 0)} GFLOP/s"
        for system, records in part["runs"].items()
        if system.startswith("matrix") and records and records[0]["rate"]
    ]
    facts = (
        f"**{name}**: {part['documents']:,} documents ({part['unique_texts']:,} unique texts), {part['queries']} "
        f"queries, {part['tokens']:,} tokens, {part['operations'] / 1e12:.2f} TFLOP; matrix rate: "
        f"{', '.join(rates) or 'unknown'}"
    )
    reference = f"; reference nDCG@10 {part['reference']:.5f}" if "reference" in part else ""
    return f"{facts}{reference}.\n\n{_table(rows)}"


def start_table(part: Part) -> str:
    rows = [
        {
            "start to first token": system,
            "s": _spread([record["first_token_seconds"] for record in records], 2),
            "whole process, s": _spread([wall(record) for record in records], 2),
        }
        for system, records in part["runs"].items()
        if records
    ]
    return _table(rows)


def growth_table(part: Part) -> str:
    """Return time and memory by the number of documents, against the smallest collection."""
    rows = []
    smallest: tuple[float, float] | None = None
    for documents, records in sorted(part["runs"].items(), key=lambda run: int(run[0])):
        if not records:
            continue
        count, vectors = int(documents), part["vector_bytes"][documents]
        each = 1000 * median(records, lambda record: float(record["effort"]["corpus_seconds"])) / count
        rest = median(records, lambda record: float(record["peak_bytes"])) - vectors
        smallest = smallest or (each, rest)
        rows.append(
            {
                "documents": f"{count:,}",
                "tokens a document": f"{records[0]['effort']['corpus_tokens'] / count:.1f}",
                "corpus, s": _spread([record["effort"]["corpus_seconds"] for record in records], 1),
                "ms a document": f"{each:.2f} ({each / smallest[0] - 1:+.1%})",
                "peak, MB": _spread([record["peak_bytes"] / MB for record in records], 0),
                "without kept vectors, MB": f"{rest / MB:.0f} ({(rest - smallest[1]) / MB:+.0f})",
            }
        )
    return _table(rows)


def page(content: dict[str, Any]) -> str:
    """Return everything in a book as text."""
    texts = [f"# The encode loop and its peers, {content['date']}", f"{content['machine']}, load {content['load']}."]
    texts.append(", ".join(f"{name} {version}" for name, version in content["versions"].items()) + ".")
    for name, part in content.get("parts", {}).items():
        if name == "start":
            texts.append(start_table(part))
        elif name.startswith("growth"):
            texts.append(f"**{name}**\n\n{growth_table(part)}")
        else:
            texts.append(collection_table(name, part))
    return "\n\n".join(texts) + "\n"


def last_line(parts: dict[str, Part]) -> str:
    """Return the smallest ratio over all collections, for each number format."""

    def smallest(system: str) -> str:
        ratios = [found for part in parts.values() if (found := ratio(part, system)) is not None]
        return f"{min(ratios):.2f}" if ratios else "not measured"

    return f"ratio vs {PEER}: {smallest('fp32')} (fp32), {smallest('auto')} (auto)"


def _table(rows: list[dict[str, str]]) -> str:
    return tabulate(rows, headers="keys", tablefmt="github", disable_numparse=True)
