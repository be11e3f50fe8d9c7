"""Python processes that begin with heavy libraries imported: forks of a process that has imported them once.

A process that runs a model spends most of its time importing torch and transformers. Tests that need a process, but not
its imports, take one from here: it has its own process id, environment, folder, standard streams and exit code, can be
killed, and ends as any Python process does. As a script this file is the process that forks.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from pkgutil import walk_packages
from typing import IO, Any, NamedTuple, NoReturn

FORKS = sys.platform == "linux"
"""Whether processes are forked; elsewhere forking after such imports is not safe, and each is started as usual."""

LIBRARIES = (
    "pytest", "torch", "numpy", "scipy.stats", "safetensors.torch", "tokenizers", "jinja2", "pytrec_eval", "tqdm",
    "pytest_embedbench.plugin", "pytest_embedbench.cli", "pytest_embedbench.engine.workbench",
    "pytest_embedbench.session.collect", "pytest_embedbench.session.terminal", "pytest_embedbench.reports.cards.write",
)  # fmt: skip
"""Imports of a run with a model, except for those that import huggingface_hub: it reads the environment only once."""

MODEL_LIBRARIES = (
    *LIBRARIES, "transformers.models.bert.modeling_bert", "transformers.models.qwen3.modeling_qwen3", "sentence_transformers",
    "pytest_embedbench.*",
)  # fmt: skip
"""All imports of a run with a model."""

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
"""Variables that keep libraries from starting threads, which a fork would lose."""

MAX_REQUEST_BYTES = 1 << 17

MAX_SECONDS = 1200
"""Seconds; a process that takes longer hangs, even on a machine that is busy with other work."""


class Process:
    """A forked process, with what tests use of ``subprocess.Popen``."""

    def __init__(self, pid: int, replies: IO[str]) -> None:
        self.pid, self._replies = pid, replies
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return the exit code, negative for a signal; None while the process runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.wait(0)
        return None

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            if not select.select([self._replies], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("a forked process", timeout or 0)
            self.returncode = os.waitstatus_to_exitcode(int(self._replies.readline()))
            self._replies.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Finished(NamedTuple):
    """Exit code and output of a process that has ended."""

    returncode: int
    stdout: str
    stderr: str


class ForkServer:
    """Start Python processes in which the modules ``preload`` are imported already."""

    def __init__(self, preload: Sequence[str]) -> None:
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        if FORKS:
            self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                self._server = subprocess.Popen(
                    [sys.executable, __file__, str(theirs.fileno()), *preload],
                    pass_fds=[theirs.fileno()],
                    env={**os.environ, **ONE_THREAD},
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                )

    def start(
        self,
        *arguments: str,
        folder: Path,
        streams: tuple[int, int, int],
        environment: Mapping[str, str] | None = None,
    ) -> Process | subprocess.Popen[bytes]:
        """Start Python with these arguments.

        Args:
            arguments: What would follow ``python`` on a command line: ``-m MODULE``, ``-c CODE`` or a script's path,
                and then the program's arguments.
            folder: The folder in which it runs.
            streams: File descriptors of its standard input, output and error.
            environment: All its variables; by default those of this process.
        """
        variables = dict(os.environ if environment is None else environment)
        if not self._socket:
            source, out, error = streams
            command = [sys.executable, *arguments]
            return subprocess.Popen(command, cwd=folder, env=variables, stdin=source, stdout=out, stderr=error)
        request = json.dumps([arguments, str(folder), variables]).encode()
        reading, writing = os.pipe()
        try:
            with self._lock:
                socket.send_fds(self._socket, [request], [*streams, writing])
        finally:
            os.close(writing)
        replies = os.fdopen(reading, encoding="ascii")
        pid = replies.readline()
        assert pid, "the process that forks has ended"
        return Process(int(pid), replies)

    def run(
        self, *arguments: str, folder: Path, environment: Mapping[str, str] | None = None, timeout: float = MAX_SECONDS
    ) -> Finished:
        """Run Python to its end; whether it succeeds is for the caller to see. After ``timeout`` seconds it is killed.

        Raises:
            AssertionError: It did not end in time.
        """
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as error, Path(os.devnull).open() as null:
            streams = (null.fileno(), out.fileno(), error.fileno())
            process = self.start(*arguments, folder=folder, streams=streams, environment=environment)
            try:
                code = process.wait(timeout)
            except subprocess.TimeoutExpired:
                process.kill()
                raise AssertionError(f"no end of {arguments} in {timeout} s:\n{_text(out)}{_text(error)}") from None
            return Finished(code, _text(out), _text(error))

    @contextlib.contextmanager
    def serving(self, *arguments: str, environment: Mapping[str, str] | None = None) -> Iterator[str]:
        """Run a server until the end of the ``with`` block; yield the first line that it prints, its address."""
        reading, writing = os.pipe()
        with os.fdopen(reading) as lines, Path(os.devnull).open("r+") as null:
            streams = (null.fileno(), writing, null.fileno())
            process = self.start(*arguments, folder=Path.cwd(), streams=streams, environment=environment)
            os.close(writing)
            try:
                line = lines.readline().strip()
                assert line, f"{arguments[0]} did not start"
                yield line
            finally:
                process.kill()
                process.wait()

    def close(self) -> None:
        if self._socket:
            self._socket.close()
            self._server.wait(timeout=60)


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "replace").replace("\r\n", "\n")


def import_modules(names: Iterable[str]) -> None:
    """Import modules, or with ``package.*`` all of a package; those that lack a library are left out."""
    for name in names:
        with contextlib.suppress(ImportError):
            module = import_module(name.removesuffix(".*"))
            if name.endswith(".*"):
                import_modules(found.name for found in walk_packages(module.__path__, f"{module.__name__}."))


# The process that forks


def serve(control: socket.socket) -> list[Any] | None:
    """Fork for each request: return it in the new process, and None in this one when the other side has closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the tests, which close the socket in the end
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no one waits for those that wait
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, MAX_REQUEST_BYTES, 4)
        if not message:
            return None
        if os.fork():
            for descriptor in descriptors:
                os.close(descriptor)
            continue
        control.close()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        *streams, reply = descriptors
        # One more process waits for the program and reports its end: only its parent learns of it.
        if program := os.fork():
            for descriptor in streams:
                os.close(descriptor)
            os.write(reply, f"{program}\n".encode())
            _, status = os.waitpid(program, 0)
            os.write(reply, f"{status}\n".encode())
            os._exit(0)
        os.close(reply)
        for number, descriptor in enumerate(streams):
            os.dup2(descriptor, number)
            os.close(descriptor)
        return list(json.loads(message))


def exit_code(arguments: Sequence[str], folder: str, environment: Mapping[str, str]) -> int:
    """Run a program and return its exit code, as Python gives it."""
    try:
        become(arguments, folder, environment)
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        sys.stderr.write(f"{end.code}\n")
        return 1
    except BaseException:  # noqa: BLE001 - Python prints it, whatever it is
        traceback.print_exc()
        return 1
    return 0


def leave(code: int) -> NoReturn:
    """End the process as Python does, except that imported modules are not taken apart, which takes a second."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def become(arguments: Sequence[str], folder: str, environment: Mapping[str, str]) -> None:
    """Run a program as ``python ARGUMENTS`` would: with its folder, variables, streams and module path."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.dont_write_bytecode = bool(environment.get("PYTHONDONTWRITEBYTECODE"))
    tempfile.tempdir = None  # it is found anew, by this environment
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        mode, errors = ("r" if name == "stdin" else "w"), ("backslashreplace" if name == "stderr" else None)
        # Line by line where a person would read, as Python does it itself.
        buffering = 1 if number and (os.isatty(number) or name == "stderr") else -1
        stream = os.fdopen(number, mode, buffering, encoding="utf-8", errors=errors, closefd=False)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    python_path = filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))
    sys.path[1:1] = [path for path in python_path if path not in sys.path]
    kind, *rest = arguments
    if kind == "-m":
        sys.path[0] = folder
        sys.argv = rest
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif kind == "-c":
        sys.path[0] = ""
        sys.argv = ["-c", *rest[1:]]
        exec(compile(rest[0], "<string>", "exec"), {"__name__": "__main__"})  # noqa: S102 - as -c does
    else:
        sys.path[0] = str(Path(folder, kind).parent)
        sys.argv = [kind, *rest]
        runpy.run_path(kind, run_name="__main__")


def main() -> None:
    with socket.socket(fileno=int(sys.argv[1])) as control:
        import_modules(sys.argv[2:])
        # Else pytest would warn in each run that it cannot rewrite the assertions of plugins that are imported already.
        for name in {point.module.partition(".")[0] for point in entry_points(group="pytest11")} & set(sys.modules):
            sys.modules[name].__doc__ = f"{sys.modules[name].__doc__} PYTEST_DONT_REWRITE"
        gc.freeze()  # a collection in a fork would write to, and so copy, every page of what is imported
        request = serve(control)
    if request:
        leave(exit_code(*request))


if __name__ == "__main__":
    main()
