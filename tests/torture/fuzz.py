"""Feed mutated files to every reader: the only outcomes are a value, or an error of the package, soon and in little memory.

    python -m tests.torture.fuzz --count 10000 [--seed 1] [READER ...]

Each input is named by its reader and number; ``--only NUMBER`` runs one of them again and shows its traceback.
"""

from __future__ import annotations

import argparse
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

from pytest_embedbench.errors import EmbedbenchError
from tests.torture.mutations import mutated
from tests.torture.readers import READERS, FuzzedReader

MAX_SECONDS = 2.0
"""Seconds of processor time that one input may take; other processes do not count."""
HANG_SECONDS = 20.0
"""Seconds of processor time after which an input is given up."""
MAX_GROWTH = 500_000_000
"""Bytes by which the largest memory of the process may grow while the inputs of a reader are read."""
MAX_MESSAGE = 10_000
"""Characters that a message may have; it quotes at most a line of the file."""
SHOWN = 3
"""Failures of a kind that are printed."""


class HangError(BaseException):
    """An input took ``HANG_SECONDS``; no reader can catch it."""


def _interrupt(*_: object) -> None:
    raise HangError


class Failures:
    """Counts failures by kind, and prints the first of each."""

    def __init__(self) -> None:
        self.count: dict[str, int] = {}

    def add(self, kind: str, where: str, detail: str = "") -> None:
        self.count[kind] = self.count.get(kind, 0) + 1
        if self.count[kind] <= SHOWN:
            print(f"{where}: {kind}{detail and chr(10)}{detail}", flush=True)


def run(reader: FuzzedReader, numbers: range, seed: int, failures: Failures, *, verbose: bool = False) -> None:
    """Read the inputs with these numbers."""
    files = reader.files()
    _write_and_read(reader, dict(files))  # the good files must be good
    before = _peak()
    slowest = 0.0
    for number in numbers:
        rng = random.Random(f"{reader.name} {seed} {number}")
        name = rng.choice(reader.changed)
        inputs = dict(files) | {name: mutated(files[name], rng)}
        where = f"{reader.name} {number} ({name})"
        started = time.process_time()
        try:
            signal.setitimer(signal.ITIMER_VIRTUAL, HANG_SECONDS)
            try:
                _write_and_read(reader, inputs)
            finally:
                signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        except HangError as error:
            failures.add(_kind(error), where, _trace(verbose))
        except EmbedbenchError as error:
            if not error.problem or len(str(error)) > MAX_MESSAGE:
                failures.add(f"a message of {len(str(error))} characters", where)
        except ValueError as error:
            # Where the package's own parsers raise a plain ValueError, callers turn it into an error of theirs.
            if reader.name != "verdict":
                failures.add(_kind(error), where, _trace(verbose))
        except Exception as error:  # noqa: BLE001 - that is what is looked for
            failures.add(_kind(error), where, _trace(verbose))
        taken = time.process_time() - started
        slowest = max(slowest, taken)
        if taken > MAX_SECONDS:
            failures.add(f"more than {MAX_SECONDS:g} s of processor time", where, f"{taken:.1f} s")
    grown = _peak() - before
    if grown > MAX_GROWTH:
        failures.add("memory", reader.name, f"{grown / 1e6:.0f} MB")
    print(f"{reader.name}: {len(numbers)} inputs, slowest {slowest:.2f} s, memory +{grown / 1e6:.0f} MB", flush=True)


def _write_and_read(reader: FuzzedReader, files: dict[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            path = Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        reader.read(Path(folder))


def _kind(error: BaseException) -> str:
    frame = next(
        (
            entry
            for entry in reversed(traceback.extract_tb(error.__traceback__))
            if "pytest_embedbench" in entry.filename
        ),
        None,
    )
    place = f" at {Path(frame.filename).name}:{frame.lineno}" if frame else ""
    return f"{type(error).__name__}{place}: {str(error)[:80]!r}"


def _trace(verbose: bool) -> str:
    return traceback.format_exc()[-3000:] if verbose else ""


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("readers", nargs="*", metavar="READER", help="names of readers; all by default")
    parser.add_argument("--count", type=int, default=10_000, help="inputs for each reader")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, help="number of one input")
    options = parser.parse_args()
    signal.signal(signal.SIGVTALRM, _interrupt)
    chosen = [reader for reader in READERS if not options.readers or reader.name in options.readers]
    failures = Failures()
    numbers = range(options.count) if options.only is None else range(options.only, options.only + 1)
    for reader in chosen:
        run(reader, numbers, options.seed, failures, verbose=options.only is not None)
    for kind, count in failures.count.items():
        print(f"FAILED {count} times: {kind}")
    return 1 if failures.count or not chosen else 0


if __name__ == "__main__":
    sys.exit(main())
