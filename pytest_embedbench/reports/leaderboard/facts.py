"""The facts of a leaderboard, without layout. A value that no source gives is None (or empty), never zero.

Templates, also those of users, read these fields by name.
"""

from __future__ import annotations

import msgspec

from pytest_embedbench.load.statistics import SideStatistics
from pytest_embedbench.machine.environment import Environment
from pytest_embedbench.rating.judgments import Preference
from pytest_embedbench.rating.ratings import Rating, Ratings


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """A number and its rank: 1 is best, equal numbers share a rank, ``of`` counts the models that have the number."""

    value: float
    rank: int
    of: int


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """Judgments between two models, as counted for the first."""

    wins: int = 0
    losses: int = 0
    ties: int = 0

    @property
    def total(self) -> int:
        return self.wins + self.losses + self.ties

    @property
    def reversed(self) -> Record:
        """The same judgments as counted for the other model."""
        return Record(wins=self.losses, losses=self.wins, ties=self.ties)


class ModelInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Facts of a model that need no measurement; empty or None if its source does not state them."""

    full_name: str = ""
    """``org/model``, as in results."""
    provider: str = ""
    licence: str = ""
    price_per_million_tokens: float | None = None
    """US dollars; as the catalogue or the suite states it."""
    release_date: str = ""
    description: str = ""
    source: str = ""
    """An http or https address, fit for a link."""
    languages: tuple[str, ...] = ()
    architecture: str = ""
    parameters: int | None = None
    dimensions: int | None = None
    max_tokens: int | None = None


class DatasetRow(msgspec.Struct, frozen=True, kw_only=True):
    """One model on one dataset."""

    dataset: str
    rating: Rating | None = None
    means: dict[str, float] = {}
    """Measure (``ndcg@10``) -> mean over queries."""
    latency: SideStatistics | None = None
    """The query side of the board's profile."""


class Opponent(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a model's record: the other model, the judgments, the comparing page's file name without ending."""

    model: str
    page: str
    record: Record


class ModelEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One model. ``page`` is its file name below ``models/``, without ending."""

    name: str
    page: str
    info: ModelInfo = ModelInfo()
    rating: Rating | None = None
    elo: Standing | None = None
    win_rate: Standing | None = None
    ndcg: Standing | None = None
    """Mean nDCG@10 over the board's ``shared`` datasets."""
    latency: Standing | None = None
    """Milliseconds: mean of p50 over the board's ``timed`` datasets."""
    on_front: bool = False
    """Whether no other model is at least as good and at least as fast, and better in one of the two."""
    datasets: tuple[DatasetRow, ...] = ()
    opponents: tuple[Opponent, ...] = ()


class Hit(msgspec.Struct, frozen=True, kw_only=True):
    """The document that a model ranked first; ``text`` is its beginning, empty if the dataset is not available."""

    doc: str
    text: str = ""


class QueryRow(msgspec.Struct, frozen=True, kw_only=True):
    """One query of a comparison; ``outcome`` is None if nobody judged it."""

    dataset: str
    query: str
    text: str = ""
    outcome: Preference | None = None
    judge: str = ""
    repeat: bool = False
    values: tuple[float, float] | None = None
    top: tuple[Hit | None, Hit | None] = (None, None)


class PairDataset(msgspec.Struct, frozen=True, kw_only=True):
    """Two models on one dataset. ``values`` are means of ``measure``, over the ``queries`` that were compared."""

    dataset: str
    record: Record = Record()
    values: tuple[float, float] | None = None
    measure: str = ""
    queries: int = 0
    lines: int = 0
    """Judgments, or queries if nobody judged: each is one line of the query table."""
    shown: int = 0
    """Lines that the table shows; fewer than ``lines`` if these are too many for a page."""


class ModelPair(msgspec.Struct, frozen=True, kw_only=True):
    """Two models, head to head. ``page`` is the file name below ``compare/``, without ending."""

    a: str
    b: str
    page: str
    record: Record = Record()
    values: tuple[float, float] | None = None
    """Mean of the datasets' means; None if these are of different measures."""
    measure: str = ""
    datasets: tuple[PairDataset, ...] = ()
    rows: tuple[QueryRow, ...] = ()


class DatasetEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One dataset: its size if a result states it, and whether it enters the mean nDCG@10 and the mean latency."""

    name: str
    documents: int | None = None
    queries: int | None = None
    judgments: int = 0
    shared: bool = False
    timed: bool = False


class ResultSource(msgspec.Struct, frozen=True, kw_only=True):
    """A result file that numbers come from, and the files beside it from which they can be recomputed."""

    model: str
    revision: str
    fingerprint: str
    dataset: str
    dataset_fingerprint: str
    file: str
    """Relative to the folder that holds all results."""
    evidence: tuple[str, ...] = ()
    run_sha256: str = ""
    measured_on: str = ""
    environment: Environment | None = None


class Leaderboard(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the pages show. Models are in order: by Elo, then by nDCG@10, then by name."""

    models: tuple[ModelEntry, ...] = ()
    datasets: tuple[DatasetEntry, ...] = ()
    pairs: tuple[ModelPair, ...] = ()
    measured: int = 0
    """Models with an nDCG@10 on any dataset; ``shared`` datasets are those that all of them have."""
    shared: tuple[str, ...] = ()
    profile: str = ""
    """Load and hardware of the latencies, ``b1 c16 on NVIDIA L4``; empty if no result has a profile."""
    timed: tuple[str, ...] = ()
    """Datasets on which every model with this profile was timed."""
    ratings: Ratings | None = None
    sources: tuple[ResultSource, ...] = ()
    notes: tuple[str, ...] = ()
    """Remarks for the reader on how the sources were read."""
