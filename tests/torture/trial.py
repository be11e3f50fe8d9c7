"""Projects whose sessions are killed at a step: a cheap model, data, a suite, and a ``conftest.py`` that counts steps."""

from __future__ import annotations

import json
import os
import signal
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import NamedTuple

from tests.support.forkserver import ForkServer, Process

LIBRARIES = (
    "pytest", "numpy", "scipy.stats", "jinja2", "pytrec_eval", "tqdm", "xdist",
    "pytest_embedbench.plugin", "pytest_embedbench.engine.workbench", "pytest_embedbench.session.collect",
    "pytest_embedbench.session.terminal", "pytest_embedbench.session.outputs", "pytest_embedbench.reports.cards.write",
)  # fmt: skip
"""Imports of a session whose model is a Python function."""

SECONDS = 300.0
"""Seconds after which a session hangs, on a machine that is busy with other work too."""

UNPRIVILEGED = """
import ctypes
# No capabilities: files of others are then forbidden to root as well. Another user could not even read this Python.
assert not ctypes.CDLL(None).capset((ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)())
"""

WATCH = """
    # Counts everything that changes a file or a lock of ours, and does what TORTURE says at one of these steps.
    import json, os, signal, sqlite3, sys, time
    from pathlib import Path

    plan = json.loads(os.environ.get("TORTURE") or "{}")
    folders = tuple(plan.get("folders", ()))
    here = Path(__file__).parent
    count, armed = 0, True
    sys.modules["torture_watch"] = sys.modules[__name__]
    flags = os.O_WRONLY | os.O_RDWR | os.O_CREAT
    names = {"os.rename", "os.remove", "os.mkdir", "os.chmod", "os.link", "os.truncate"}

    def act():
        global armed
        armed = False
        os.kill(os.getppid() if plan.get("parent") else os.getpid(), plan["signal"])

    def step(folder=None):
        global count
        if folder is not None and not str(folder).startswith(folders):
            return
        count += 1
        if armed and count == plan.get("step"):
            act()

    def watch(event, values):
        if event == "open" and isinstance(values[2], int) and values[2] & flags:
            step(os.fspath(values[0]) if isinstance(values[0], str | os.PathLike) else "")
        elif event in names and isinstance(values[0], str | os.PathLike):
            step(os.fspath(values[0]))
        elif event == "fcntl.flock":
            step()

    def reached(place):
        # A place in the program rather than a step: an encoding, a load, a wait.
        if armed and plan.get("place") == place:
            act()

    fsync = os.fsync

    def watched_fsync(handle):
        step()
        full = here / "full"
        if full.exists() and count >= int(full.read_text()):
            raise OSError(28, "No space left on device")
        fsync(handle)
        step()

    os.fsync = watched_fsync

    sleep = time.sleep

    def watched_sleep(seconds):
        if sys._getframe(1).f_globals.get("__name__") == "pytest_embedbench.core.locks":
            reached("wait")
        sleep(seconds)

    time.sleep = watched_sleep

    class Connection(sqlite3.Connection):
        def execute(self, *arguments):
            step()
            return super().execute(*arguments)

        def executemany(self, statement, rows):
            step()
            rows = list(rows)
            super().executemany(statement, rows[:1])
            step()
            return super().executemany(statement, rows[1:])

        def executescript(self, script):
            # Its own method would commit before each statement.
            *several, last = filter(str.strip, script.split(";"))
            for statement in several:
                step()
                super().execute(statement).fetchall()
            step()
            return super().executescript(last) if not several else super().execute(last)

    connect = sqlite3.connect
    sqlite3.connect = lambda *arguments, **more: connect(*arguments, **more, factory=Connection)

    if folders:
        sys.addaudithook(watch)

    def pytest_collection_modifyitems(items):
        # The model counts words, which answers no easy question.
        items[:] = [item for item in items if "sanity" not in item.nodeid]

    def pytest_runtest_logstart(nodeid):
        os.environ["TORTURE_ITEM"] = nodeid

    def pytest_unconfigure(config):
        if "count" in plan:
            Path(plan["count"]).write_text(str(count))
"""

FUNCTION = """
    import os, re, sys, time, zlib
    import numpy as np

    calls = 0

    def embed(texts, role):
        global calls
        calls += 1
        watch = sys.modules.get("torture_watch")
        if watch and calls > 1 and "profile" not in os.environ.get("TORTURE_ITEM", "") and len(texts) > 1:
            watch.reached("encoding")
        if watch and "budget" in os.environ.get("TORTURE_ITEM", "") and calls > 40:
            watch.reached("profile")
        rows = np.zeros((len(texts), 256), np.float32)
        for row, text in zip(rows, texts):
            for word in re.findall(r"\\w+", text.lower()):
                row[zlib.crc32(word.encode()) % 256] += 1
            row[0] += 0.01
        return rows
"""

TOPICS = ("volcano", "whale", "bread", "castle", "violin", "tea", "bicycle", "chess", "penguin", "telescope")

SUITE = """
    [embedbench]
    models = [{models}]
    datasets = ["facts"]
    [[checks]]
    quality = ["ndcg@10 >= 0", "recall@1 >= 0"]
"""

MODEL = """
    [models.{name}]
    callable = "mine:embed"
    query_prompt = "{prompt}"
"""

BUDGET = """
    [[checks]]
    profile = "b1 c1"
    budget = ["query mean <= 60 s"]
"""


class Ended(NamedTuple):
    """Exit code of a session, negative for a signal, and all that it printed."""

    code: int
    text: str


@dataclass
class Session:
    """A session that runs."""

    process: Process
    output: Path

    def finish(self) -> Ended:
        return Ended(self.process.wait(SECONDS), self.output.read_text("utf-8", "replace"))


class Trial:
    """A project with folders of its own for temporary files and for the embedding cache.

    Args:
        server: starts the sessions.
        folder: an empty folder.
        models: names of the suite's models; they differ in their prompt, and so in their numbers.
        load: whether the suite has a load profile.
        url: address of a server that is one more model, ``served``.
    """

    def __init__(
        self,
        server: ForkServer,
        folder: Path,
        *,
        models: tuple[str, ...] = ("mine",),
        load: bool = False,
        url: str = "",
    ) -> None:
        self._server, self.folder = server, folder
        self.project, self.temporary, self.cache = folder / "project", folder / "tmp", folder / "cache"
        self.out = self.project / "embedbench-out"
        for path in (self.project / "facts" / "qrels", self.temporary):
            path.mkdir(parents=True)
        docs = [
            {"_id": f"{topic}-{n}", "text": f"{topic} number {n}, and {TOPICS[n]}{' again' * n}"}
            for topic in TOPICS
            for n in range(5)
        ]
        queries = [{"_id": f"q-{topic}", "text": f"what is a {topic}"} for topic in TOPICS]
        for name, rows in (("corpus", docs), ("queries", queries)):
            (self.project / "facts" / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        judged = "".join(f"q-{topic}\t{topic}-{n}\t1\n" for topic in TOPICS for n in range(2))
        (self.project / "facts" / "qrels" / "test.tsv").write_text(f"query-id\tcorpus-id\tscore\n{judged}")
        (self.project / "conftest.py").write_text(dedent(WATCH))
        (self.project / "mine.py").write_text(dedent(FUNCTION))
        self.suite(*models, load=load, url=url)

    def suite(self, *models: str, load: bool = False, url: str = "", prompt: str = "") -> None:
        """Write the suite."""
        names = ", ".join(f'"{name}"' for name in (*models, *(["served"] if url else [])))
        text = SUITE.format(models=names) + (BUDGET if load else "")
        text += "".join(MODEL.format(name=name, prompt=prompt or f"{name}: ") for name in models)
        if url:
            text += f'[models.served]\nkind = "endpoint"\nurl = "{url}"\nmodel = "toy"\nrevision = "1"\n'
        (self.project / "embedbench.toml").write_text(dedent(text))

    def start(
        self,
        *arguments: str,
        plan: Mapping[str, object] | None = None,
        privileged: bool = True,
    ) -> Session:
        """Start a session, and go on without waiting for its end.

        Args:
            arguments: arguments of pytest.
            plan: the step or place at which a signal is sent, see ``WATCH``.
            privileged: whether root may do what it may; otherwise it is a user like others.
        """
        folders = [str(self.out), str(self.cache), str(self.temporary), str(self.project / "embedbench-baseline.json")]
        environment = {
            **{
                key: value
                for key, value in os.environ.items()
                if not key.startswith(("PYTEST_", "COV_", "EMBEDBENCH_"))
            },
            "TMPDIR": str(self.temporary),
            "EMBEDBENCH_CACHE": str(self.cache),
            "HF_HUB_OFFLINE": "1",
            "COLUMNS": "200",
            "TORTURE": json.dumps({"folders": folders, **plan}) if plan else "",
            "TORTURE_TRIAL": str(self.folder),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONPATH": os.pathsep.join([str(self.project), os.environ.get("PYTHONPATH", "")]),
        }
        command = ["-p", "no:hypothesispytest", "-p", "no:anyio", "-p", "no:cacheprovider", *arguments]
        code = f"{'' if privileged else UNPRIVILEGED}\nimport sys, pytest\nsys.exit(pytest.main({command!r}))\n"
        number, name = tempfile.mkstemp(dir=self.folder, suffix=".txt")
        with open(os.devnull) as null:  # noqa: PTH123 - a stream
            streams = (null.fileno(), number, number)
            process = self._server.start("-c", code, folder=self.project, streams=streams, environment=environment)
        os.close(number)
        assert isinstance(process, Process), "needs fork"
        return Session(process, Path(name))

    def run(self, *arguments: str, plan: Mapping[str, object] | None = None, privileged: bool = True) -> Ended:
        """Run a session to its end."""
        return self.start(*arguments, plan=plan, privileged=privileged).finish()

    def steps(self, *arguments: str) -> tuple[Ended, int]:
        """Run a session and count its steps."""
        count = self.folder / "count"
        ended = self.run(*arguments, plan={"count": str(count)})
        return ended, int(count.read_text())


def kill_at(step: int, number: int = signal.SIGKILL) -> dict[str, object]:
    """Return the plan that sends a signal at a step."""
    return {"step": step, "signal": int(number)}


def kill_in(place: str, number: int, *, parent: bool = False) -> dict[str, object]:
    """Return the plan that sends a signal in a place: ``encoding``, ``profile`` or ``wait``.

    With ``parent`` it goes to the process that has started this one: from a worker of xdist to its controller.
    """
    return {"place": place, "signal": int(number), "parent": parent}
