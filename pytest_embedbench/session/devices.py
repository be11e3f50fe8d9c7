"""The devices that a session's models use, so that load profiles can have them alone."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import pytest

    from pytest_embedbench.session.state import EmbedSession
    from pytest_embedbench.suite.plan import Suite


def session_devices(session: EmbedSession, items: Iterable[pytest.Item]) -> frozenset[str]:
    """Return where the models of the session's items run, as torch names devices.

    All items count, not only those of one xdist worker, so that the workers lock the same devices.
    """
    if not session.devices:
        suites = filter(None, map(_suite_of, items))
        # "" is a suite that leaves the choice to the machine.
        devices = {session.option("device") or suite.settings.device for suite in suites}
        if "" in devices:
            from pytest_embedbench.machine.device import best_device

            devices = devices - {""} | {best_device()}
        session.devices = frozenset(devices)
    return session.devices


@contextmanager
def held_for(item: pytest.Item, session: EmbedSession, *, alone: bool) -> Iterator[None]:
    """Hold the locks that an item needs, while the block runs.

    What measures a load (``alone``) waits for other sessions' measurements, and then for the items of the other
    workers of its session; these wait for it, and for no other session. Where a lock cannot be taken, the block runs
    all the same, and the item reports ``session.lock_error``.
    """
    from pytest_embedbench.core.locks import LockError
    from pytest_embedbench.machine.device_lock import hold_devices

    devices = session_devices(session, item.session.items)
    _ = session.progress  # shows waits from now on
    with ExitStack() as held:
        try:
            if alone:
                held.enter_context(hold_devices(devices, alone=True))
            if session.shares_device:
                run = item.config.workerinput["testrunuid"]  # type: ignore[attr-defined]
                others = "tests of this session's other workers" if alone else "a load profile of this session"
                held.enter_context(hold_devices(devices, alone=alone, session=run, what=others))
        except LockError as error:
            # What measures nothing runs without the lock. To pytest, an exception here would be a fault of its own.
            session.lock_error = error if alone else None
        try:
            yield
        finally:
            session.lock_error = None


def _suite_of(item: pytest.Item) -> Suite | None:
    """Return the suite of an item, or of the pair that a test in Python uses; None for other tests."""
    pair = getattr(getattr(item, "callspec", None), "params", {}).get("embed_pair")
    suite: Suite | None = pair[0] if pair else getattr(item, "suite", None)
    return suite
