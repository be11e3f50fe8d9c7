"""Profiles by a closed loop: ``concurrency`` clients, each sending its next request when its last one was answered."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from pytest_embedbench.core.batching import distinct
from pytest_embedbench.errors import DatasetError
from pytest_embedbench.load.clients.choose import clients_for
from pytest_embedbench.load.clients.interface import Clients, LoadControl, LoadOutcome
from pytest_embedbench.load.load_progress import shown_progress
from pytest_embedbench.load.samples import Sample, statistics_of
from pytest_embedbench.load.shape import LoadShape
from pytest_embedbench.load.statistics import Ended, SideStatistics, WarmUp
from pytest_embedbench.load.stopping import is_precise, is_warmed_up

if TYPE_CHECKING:
    from pytest_embedbench.datasets.types import Role
    from pytest_embedbench.encode.progress import Progress
    from pytest_embedbench.models.protocol import Encoder

LOAD_SEED = 20260615
"""Seed of all random choices of a load (texts, arrival times), so that sessions are comparable."""

WARM_UP_ROUNDS = 2
"""Requests of each client in one window of the warm-up."""

WARM_UP_WINDOW = 10
"""Requests in a window of the warm-up, at least: the median of fewer says little where texts differ in length."""

WARM_UP_WINDOWS = 20
"""Windows of the warm-up, at most."""

WARM_UP_SHARE = 0.25
"""Share of a side's texts and of its time; warm-up takes no more, even if latencies are not steady by then."""


class SideProfile(NamedTuple):
    """Statistics of one side, with the samples behind them."""

    statistics: SideStatistics
    samples: list[Sample]


def shuffled_texts(texts: Sequence[str], chance: random.Random | None = None) -> list[str]:
    """Return the distinct texts that are not blank, in random order.

    The order is the same in every session, unless a random generator is given as ``chance``.

    Raises:
        DatasetError: there is no such text, so that there is nothing to measure.
    """
    unique, _ = distinct([text for text in texts if text.strip()])
    if not unique:
        problem = (
            f"no load can be measured: all {len(texts):,} texts of a side are empty"
            if texts
            else "no load can be measured: a side has no texts"
        )
        raise DatasetError(problem, fix="measure load on a dataset with queries and documents")
    (chance or random.Random(LOAD_SEED)).shuffle(unique)
    return unique


def profile_side(  # noqa: PLR0913 - by keyword, what decides how long a side takes
    model: Encoder,
    texts: Sequence[str],
    role: Role,
    shape: LoadShape,
    *,
    requests: int,
    seconds: float,
    batch_tokens: int,
    progress: Progress,
    least: int = 0,
) -> SideProfile:
    """Profile one role in a closed loop until its percentiles are precise (``stopping``).

    Texts are drawn without repetition, so that no cache answers. Where a dataset has too few texts, the profile is
    shorter rather than repetitive, unless that would leave fewer requests than there are clients, or than ``least``.

    Args:
        model: the model under load.
        texts: texts of the role.
        role: query or document.
        shape: texts a request, and clients.
        requests: requests after which the profile ends in any case.
        seconds: approximate time after which it ends in any case.
        batch_tokens: tokens that a batch of the in-process server may hold.
        progress: callbacks for the texts done.
        least: requests that budgets need; for them texts are sent again, and the side takes ``MAX_OVERTIME`` times as
            long where it must.

    Raises:
        ModelError: or another error of the model; the first failure ends the load.
        DatasetError: there is no text to send.
    """
    with clients_for(model, role, shape, batch_tokens) as clients:

        def send(counted: Sequence[list[str]], advance: Callable[[int], None]) -> LoadOutcome:
            return clients.closed(counted, LoadControl(seconds, is_precise, advance, least))

        return measure_side(
            clients, texts, role, shape, send, requests=requests, seconds=seconds, progress=progress, least=least
        )


def measure_side(  # noqa: PLR0913 - by keyword, what decides how long a side takes
    clients: Clients,
    texts: Sequence[str],
    role: Role,
    shape: LoadShape,
    send: Callable[[Sequence[list[str]], Callable[[int], None]], LoadOutcome],
    *,
    requests: int,
    seconds: float,
    progress: Progress,
    least: int = 0,
) -> SideProfile:
    """Warm up with a closed loop of ``shape``, then measure the requests that ``send`` sends.

    Args:
        clients: send the requests of the warm-up.
        texts: texts of the role.
        role: query or document.
        shape: the warm-up's shape; its ``batch`` is that of all requests.
        send: sends the requests that count and returns their outcome.
        requests: requests that count, at most.
        seconds: time that the side may take.
        progress: callbacks for the texts done.
        least: requests for which texts are sent again if there are too few.

    Raises:
        ModelError: a vector came that is wrong, as asking for it again shows; no latency counts then.
    """
    unique = shuffled_texts(texts)
    batches = [unique[start : start + shape.batch] for start in range(0, len(unique), shape.batch)]
    # All requests have the same number of texts: a shorter last one is left out, too few texts are repeated.
    batches = [batch for batch in batches if len(batch) == shape.batch] or [(unique * shape.batch)[: shape.batch]]
    # Warm-up takes texts from the end, so that the counted requests are the same however long it takes.
    most = max(1, int(len(batches) * WARM_UP_SHARE))
    texts_sent = min(most, WARM_UP_WINDOWS * _window(shape.concurrency)) * shape.batch
    with shown_progress(progress, f"{role} warm-up load", texts_sent, seconds=seconds * WARM_UP_SHARE) as advance:
        warm_up = _warm_up(clients, batches[::-1][:most], shape.concurrency, seconds * WARM_UP_SHARE, advance)
    counted = batches[: len(batches) - warm_up.requests][:requests]
    ran_out: Ended = "requests" if len(counted) == requests else "texts"
    needed = max(shape.concurrency, least)
    if len(counted) < needed:  # too few texts for one request of each client, or for a budget: send some again
        counted = list(itertools.islice(itertools.cycle(batches), needed))
    # The server's batches of the warm-up do not count.
    formed = len(clients.batches)
    texts_sent = sum(map(len, counted))
    with shown_progress(progress, f"{role} load", texts_sent, seconds=seconds, least=least * shape.batch) as advance:
        outcome = send(counted, advance)
    clients.verify()
    statistics = msgspec.structs.replace(
        statistics_of(outcome.answered, shape.batch, clients.batches[formed:]),
        unanswered=outcome.unanswered,
        ended=outcome.ended or ran_out,
        warm_up=warm_up,
        client=clients.cost,
    )
    return SideProfile(statistics, [request.sample for request in outcome.answered])


def _window(clients: int) -> int:
    """Return the requests of one window of the warm-up."""
    return max(WARM_UP_ROUNDS * clients, WARM_UP_WINDOW)


def _warm_up(
    clients: Clients, batches: Sequence[list[str]], count: int, seconds: float, advance: Callable[[int], None]
) -> WarmUp:
    """Send windows of requests until their median latencies are steady, or until the batches or the time end.

    All requests of a window are answered before the next window begins. Each client sends one request at least.
    """
    start, sent = time.perf_counter(), 0
    medians: list[float] = []
    while sent < len(batches) and len(medians) < WARM_UP_WINDOWS:
        window = batches[sent : sent + _window(count)]
        left = max(0.0, start + seconds - time.perf_counter())
        answered = clients.closed(window, LoadControl(left, advance=advance)).answered
        sent += len(answered)
        medians.append(median(request.sample.latency_ms for request in answered))
        if is_warmed_up(medians):
            return WarmUp(sent, settled=True)
        if time.perf_counter() - start > seconds:
            break
    return WarmUp(sent, settled=False)
