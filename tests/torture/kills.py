"""Kill sessions, take their disk, their folders and their locks away, and see that nothing is lost.

    python -m tests.torture.kills --seed 1 --count 60 [SCENARIO ...]

``--count`` is the number of random moments, and of steps for each kind of session (0: every step, which takes an hour).
After each kill, files must be whole, locks free and processes gone, and the next session must give the numbers of an
undisturbed one.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.forkserver import ForkServer
from tests.torture.trial import LIBRARIES, Ended, Trial, kill_at, kill_in
from tests.torture.wholeness import age, faults, numbers, old_parts

SOMEONE = 65534
"""The user whom files of others belong to."""
BROKEN = ("Traceback (most recent call last)", "INTERNALERROR")
"""What no session prints, whatever happens to it."""
SHORT_LOAD = "--embed-profile-seconds=0.2"
UPDATE = "--embed-update-baseline"
SMALL = (48, 96, 160, 320, 640)
"""Sizes in KiB of disks that are too small."""


class Torture:
    """Runs scenarios, and keeps count of what was done and what was found.

    Args:
        server: starts the sessions.
        folder: where projects are made; each is removed when nothing was wrong with it.
        seed: decides the steps and moments.
        count: see above.
    """

    def __init__(self, server: ForkServer, folder: Path, *, seed: int = 1, count: int = 0) -> None:
        self._server, self._folder, self._count = server, folder, count
        self._rng = random.Random(seed)
        self.done = {"sessions": 0, "kills": 0, "checks": 0}
        self.found: list[str] = []

    @contextmanager
    def _trial(self, **kinds: Any) -> Iterator[Trial]:
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        folder.chmod(0o755)
        before = len(self.found)
        yield Trial(self._server, folder, **kinds)
        if len(self.found) == before:
            shutil.rmtree(folder)

    def _note(self, what: str, problems: Sequence[str]) -> None:
        self.done["checks"] += 1
        for problem in problems:
            self.found.append(f"{what}: {problem}")
            print(f"FAILED {self.found[-1]}", flush=True)

    def _chosen(self, steps: int) -> list[int]:
        """Return the numbers of the steps at which sessions are killed."""
        everything = range(1, steps + 1)
        return sorted(self._rng.sample(everything, min(self._count, steps))) if self._count else list(everything)

    def _look(self, what: str, trial: Trial, ended: Sequence[Ended] = ()) -> None:
        """Check what ended sessions have left."""
        self.done["sessions"] += len(ended)
        self.done["kills"] += sum(session.code < 0 for session in ended)
        shown = [f"{word}\n{session.text[-6000:]}" for session in ended for word in BROKEN if word in session.text]
        self._note(what, [*faults(trial), *shown])

    def _again(self, what: str, trial: Trial, expected: dict[str, Any], *arguments: str) -> None:
        """Run the session undisturbed: its numbers must be the expected ones."""
        age(trial)
        start = time.time()
        ended = trial.run(*arguments)
        self._look(f"{what}, the next session", trial, [ended])
        if ended.code:
            self._note(what, [f"the next session failed ({ended.code}):\n{ended.text[-6000:]}"])
        elif (got := numbers(trial)) != expected:
            differing = [name for name in expected.keys() | got.keys() if got.get(name) != expected.get(name)]
            self._note(what, [f"other numbers: {differing}"])
        self._note(what, old_parts(trial, start))

    def _undisturbed(self, *arguments: str, **kinds: Any) -> tuple[dict[str, Any], int, float]:
        """Return the numbers of a session that nobody disturbs, its steps, and its seconds."""
        with self._trial(**kinds) as trial:
            start = time.monotonic()
            ended, steps = trial.steps(*arguments)
            seconds = time.monotonic() - start
            if ended.code:
                raise SystemExit(f"the undisturbed session failed:\n{ended.text}")
            self._look("undisturbed", trial, [ended])
            return numbers(trial), steps, seconds

    def steps(self) -> None:
        """Kill sessions at each step that writes something: one that evaluates and updates the baseline, one with a load."""
        self._steps(UPDATE)
        self._steps(SHORT_LOAD, load=True)

    def _steps(self, *arguments: str, **kinds: Any) -> None:
        expected, steps, _ = self._undisturbed(*arguments, **kinds)
        for step in self._chosen(steps):
            what = f"kill at step {step} of {steps} of {' '.join(arguments)}"
            with self._trial(**kinds) as trial:
                self._look(what, trial, [trial.run(*arguments, plan=kill_at(step))])
                self._again(what, trial, expected, *arguments)

    def replacement(self) -> None:
        """Kill sessions at each step while their results replace those of another definition."""

        def replaced(trial: Trial) -> None:
            trial.run(UPDATE)
            trial.suite("mine", prompt="other: ")

        with self._trial() as trial:
            replaced(trial)
            ended, steps = trial.steps(UPDATE)
            self._look("replacement", trial, [ended])
            expected = numbers(trial)
        for step in self._chosen(steps):
            what = f"kill at step {step} of {steps} of a replacement"
            with self._trial() as trial:
                replaced(trial)
                self._look(what, trial, [trial.run(UPDATE, plan=kill_at(step))])
                self._again(what, trial, expected, UPDATE)

    def moments(self) -> None:
        """Kill sessions at random moments."""
        arguments, kinds = (SHORT_LOAD, UPDATE), {"load": True}
        expected, _, seconds = self._undisturbed(*arguments, **kinds)
        for number in range(self._count or 100):
            with self._trial(**kinds) as trial:
                session = trial.start(*arguments)
                moment = self._rng.uniform(0, seconds)
                time.sleep(moment)
                session.process.kill()
                what = f"kill {number} after {moment:.2f} s"
                self._look(what, trial, [session.finish()])
                self._again(what, trial, expected, *arguments)

    def cluster(self) -> None:
        """Run four sessions at once on one folder of results and one cache, and kill some of them."""
        kinds = {"models": ("one", "two"), "load": True}
        expected, steps, _ = self._undisturbed(SHORT_LOAD, **kinds)
        for number in range(max(1, (self._count or 40) // 4)):
            with self._trial(**kinds) as trial:
                killed = number % 4
                plans = [kill_at(self._rng.randint(1, steps)) for _ in range(killed)] + [None] * (4 - killed)
                ended = [session.finish() for session in [trial.start(SHORT_LOAD, plan=plan) for plan in plans]]
                what = f"cluster {number}, {killed} killed"
                self._look(what, trial, ended)
                self._note(what, [session.text[-6000:] for session in ended if session.code > 0])
                if numbers(trial) != expected:
                    self._note(what, ["other numbers"])
                self._again(what, trial, expected, SHORT_LOAD)

    def baselines(self) -> None:
        """Update one baseline from four sessions at once, each with a model of its own, and kill some of them."""
        names = ("one", "two", "three", "four")
        expected, steps, _ = self._undisturbed(UPDATE, models=names)
        for number in range(max(1, (self._count or 40) // 4)):
            with self._trial(models=names) as trial:
                killed = number % 4
                plans = [kill_at(self._rng.randint(1, steps)) for _ in range(killed)] + [None] * (4 - killed)
                sessions = [trial.start(UPDATE, "-k", name, plan=plan) for name, plan in zip(names, plans, strict=True)]
                ended = [session.finish() for session in sessions]
                what = f"baselines {number}, {killed} killed"
                self._look(what, trial, ended)
                written = numbers(trial).get("embedbench-baseline.json", {})
                lost = [
                    name for name, session in zip(names, ended, strict=True) if not session.code and name not in written
                ]
                self._note(what, [f"lost: {lost}"] if lost else [])
                self._again(what, trial, expected, UPDATE)

    def full_at_steps(self) -> None:
        """Let the disk be full from a step on."""
        expected, steps, _ = self._undisturbed(UPDATE)
        for step in self._chosen(steps):
            with self._trial() as trial:
                what = f"disk full from step {step} on"
                (trial.project / "full").write_text(str(step))
                self._look(what, trial, [trial.run(UPDATE, plan={"count": str(trial.folder / "count")})])
                (trial.project / "full").unlink()
                self._again(what, trial, expected, UPDATE)

    def small_disks(self) -> None:
        """Give results and cache a disk that is too small."""
        expected, _, _ = self._undisturbed(UPDATE)
        for size in SMALL:
            for name in ("embedbench-out", "cache", "tmp", "project"):
                with self._trial() as trial:
                    folder = {"embedbench-out": trial.out, "cache": trial.cache, "tmp": trial.temporary}.get(name)
                    with small_disk(folder or trial.project, size, keep=folder is None) as mounted:
                        if not mounted:
                            pytest.skip("small disks need the right to mount one")
                        what = f"{size} KiB for {name}"
                        ended = trial.run(UPDATE)
                        self._look(what, trial, [ended])
                        grow(folder or trial.project)
                        self._again(what, trial, expected, UPDATE)

    def others_files(self) -> None:
        """Run as a common user in folders that are read-only, or hold files and locks of someone else."""
        if os.getuid():
            pytest.skip("only root can give files away")
        expected, _, _ = self._undisturbed(UPDATE, SHORT_LOAD, load=True)
        for number, (name, forbid) in enumerate(FORBIDDEN.items()):
            with self._trial(load=True) as trial:
                trial.temporary.chmod(0o1777)
                trial.project.chmod(0o777)
                # Someone else has run here before, in one half of the cases.
                if number % 2 or "existing" in name:
                    trial.run(UPDATE, SHORT_LOAD)
                    give_away(trial.out, trial.cache, trial.project / "embedbench-baseline.json")
                forbid(trial)
                ended = trial.run(UPDATE, SHORT_LOAD, privileged=False)
                self._look(name, trial, [ended])
                if ended.code not in {0, 1, int(pytest.ExitCode.USAGE_ERROR)}:
                    self._note(name, [f"exit code {ended.code}:\n{ended.text[-6000:]}"])
                if ended.code and "fix:" not in ended.text and "not written" not in ended.text:
                    self._note(name, [f"no error that says what to do:\n{ended.text[-6000:]}"])
                subprocess.run(["chmod", "-R", "a+rwX", str(trial.folder)], check=True)  # noqa: S607
                self._again(name, trial, expected, UPDATE, SHORT_LOAD)

    def signals(self) -> None:
        """Interrupt and end sessions while they encode, measure a load and wait for a lock."""
        from tests.support.toy_endpoint import ToyEndpoint

        with ToyEndpoint() as endpoint:
            for url in ("", endpoint.url):
                kinds = {"load": True, "url": url}
                expected, _, _ = self._undisturbed(SHORT_LOAD, **kinds)
                for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL):
                    for place in ("encoding", "profile"):
                        with self._trial(**kinds) as trial:
                            what = f"{number.name} in {place}{' with a server' if url else ''}"
                            self._stopped(what, trial, trial.run(SHORT_LOAD, plan=kill_in(place, number)), number)
                            self._again(what, trial, expected, SHORT_LOAD)
        expected, steps, _ = self._undisturbed(UPDATE)
        for number in (signal.SIGINT, signal.SIGTERM):
            with self._trial() as trial:
                with held_locks(trial):
                    ended = trial.run(UPDATE, plan=kill_in("wait", number))
                self._stopped(f"{number.name} in a wait", trial, ended, number)
            for step in self._chosen(steps):
                with self._trial() as trial:
                    what = f"{number.name} at step {step}"
                    self._look(what, trial, [trial.run(UPDATE, plan=kill_at(step, number))])
                    self._again(what, trial, expected, UPDATE)

    def workers(self) -> None:
        """Kill the controller of xdist's workers, or one of them, while it works."""
        arguments, kinds = ("-n", "2", SHORT_LOAD, UPDATE), {"models": ("one", "two"), "load": True}
        expected, _, _ = self._undisturbed(*arguments, **kinds)
        for parent in (True, False):
            for number in (signal.SIGTERM, signal.SIGKILL) if parent else (signal.SIGKILL,):
                for place in ("encoding", "profile"):
                    with self._trial(**kinds) as trial:
                        plan = kill_in(place, number, parent=parent)
                        what = f"{number.name} for {'the controller' if parent else 'a worker'} in {place}"
                        self._look(what, trial, [trial.run(*arguments, plan=plan)])
                        self._again(what, trial, expected, *arguments)

    def _stopped(self, what: str, trial: Trial, ended: Ended, number: int) -> None:
        self._look(what, trial, [ended])
        # Pytest turns SIGINT into an exit code of its own.
        if ended.code not in {-number, int(pytest.ExitCode.INTERRUPTED)}:
            self._note(what, [f"ended with {ended.code}:\n{ended.text[-3000:]}"])


SCENARIOS: dict[str, Callable[[Torture], None]] = {
    name: getattr(Torture, name.replace("-", "_"))
    for name in (
        "steps", "replacement", "moments", "cluster", "baselines", "full-at-steps", "small-disks", "others-files", "signals", "workers"
    )
}  # fmt: skip


@contextmanager
def small_disk(folder: Path, kibibytes: int, *, keep: bool) -> Iterator[bool]:
    """Mount a disk of this size at a folder while the block runs; yield whether that was possible.

    With ``keep`` the folder's files are copied onto it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as aside:
        if keep:
            shutil.copytree(folder, aside, dirs_exist_ok=True)
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={kibibytes}k", "tmpfs", str(folder)],  # noqa: S607
            capture_output=True,
            check=False,
        )
        if done.returncode:
            yield False
            return
        try:
            shutil.copytree(aside, folder, dirs_exist_ok=True)
            yield True
        finally:
            subprocess.run(["umount", "-l", str(folder)], check=True)  # noqa: S607


def grow(folder: Path) -> None:
    """Make room on a small disk."""
    subprocess.run(["mount", "-o", "remount,size=64m", str(folder)], check=True)  # noqa: S607


@contextmanager
def held_locks(trial: Trial) -> Iterator[None]:
    """Hold the lock of the trial's pair while the block runs, as a session does that works on it."""
    from pytest_embedbench.results.store import Store

    trial.run()
    (path,) = (path for path in trial.out.glob("results/**/facts.json"))
    before, tempfile.tempdir = tempfile.tempdir, str(trial.temporary)
    try:
        with Store(trial.out / "results").locked(path):
            tempfile.tempdir = before
            yield
    finally:
        tempfile.tempdir = before


def give_away(*paths: Path) -> None:
    """Give files and folders, with all that is in them, to someone else."""
    for path in paths:
        for file in (path, *path.rglob("*")) if path.exists() else ():
            os.chown(file, SOMEONE, SOMEONE)


def _theirs(path: Path, mode: int) -> None:
    """Make a folder, unless it exists, that belongs to someone else."""
    path.mkdir(parents=True, exist_ok=True)
    give_away(path)
    path.chmod(mode)


def _secret(path: Path) -> None:
    give_away(path)
    for file in (path, *path.rglob("*")):
        file.chmod(0o700 if file.is_dir() else 0o600)


def _only_files(path: Path) -> None:
    _secret(path)
    _open_folders(path)


def _open_folders(path: Path) -> None:
    for folder in (path, *path.rglob("*/")):
        folder.chmod(0o777)


def _locked_up(trial: Trial, mode: int) -> None:
    """Leave lock files of someone else; with a strict umask nobody else can open them."""
    from pytest_embedbench.core.files import path_digest

    results = [
        trial.out / "results" / "mine" / "no_revision_available" / name for name in ("facts.json", "conformance.jsonl")
    ]
    names = [f"embedbench-{path_digest(path)}.lock" for path in results]
    names += [f"embedbench-baseline-{path_digest(trial.project / 'embedbench-baseline.json')}.lock"]
    for name in (*names, "embedbench-cpu.gate", "embedbench-cpu.room"):
        (trial.temporary / name).touch()
        (trial.temporary / name).chmod(mode)
        give_away(trial.temporary / name)


FORBIDDEN: dict[str, Callable[[Trial], None]] = {
    "results read-only": lambda trial: _theirs(trial.out / "results", 0o755),
    "existing results of someone else": lambda _: None,
    "results that only their owner reads, existing": lambda trial: _secret(trial.out / "results"),
    "results in folders that anyone may write, existing": lambda trial: _open_folders(trial.out),
    "results that only their owner reads in such folders, existing": lambda trial: _only_files(trial.out),
    "cards read-only": lambda trial: _theirs(trial.out / "cards", 0o755),
    "cards that only their owner reads, existing": lambda trial: _secret(trial.out / "cards"),
    "cache read-only": lambda trial: _theirs(trial.cache, 0o755),
    "cache read-only, existing": lambda trial: _theirs(trial.cache, 0o755),
    "cache that only its owner reads, existing": lambda trial: _secret(trial.cache),
    "project read-only": lambda trial: _theirs(trial.project, 0o755),
    "baseline that only its owner reads, existing": lambda trial: _secret(trial.project / "embedbench-baseline.json"),
    "locks of someone else": lambda trial: _locked_up(trial, 0o644),
    "locks that only their owner opens": lambda trial: _locked_up(trial, 0o600),
    "temporary folder read-only": lambda trial: _theirs(trial.temporary, 0o555),
}
"""What is forbidden to the user who runs a session."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=f"{', '.join(SCENARIOS)}; all by default")
    parser.add_argument("--count", type=int, default=60, help="steps and moments (default: 60); 0: every step")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    server = ForkServer(LIBRARIES)
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    found = 0
    for name in options.scenarios or SCENARIOS:
        torture = Torture(server, folder, seed=options.seed, count=options.count)
        start = time.monotonic()
        try:
            SCENARIOS[name](torture)
        except pytest.skip.Exception as reason:
            print(f"{name}: skipped: {reason}")
            continue
        done = ", ".join(f"{count} {what}" for what, count in torture.done.items())
        print(f"{name}: {done}, {len(torture.found)} failures, {time.monotonic() - start:.0f} s", flush=True)
        found += len(torture.found)
    server.close()
    if found:
        print(f"the projects of failures are in {folder}")
    else:
        shutil.rmtree(folder)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
