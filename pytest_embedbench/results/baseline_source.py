"""Where a baseline is: a file, or a file of another commit (``GIT-REF:PATH``)."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import msgspec

from pytest_embedbench.errors import ConfigurationError
from pytest_embedbench.results.baseline import Baseline, parse_baseline

GIT_SECONDS = 60
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")


class BaselineSource(msgspec.Struct, frozen=True):
    """``text`` as the user wrote it, relative to ``folder``; ``where`` is the option or key that says it."""

    text: str
    folder: Path
    where: str

    @property
    def path(self) -> Path:
        """The file, where it is one."""
        return self.folder / Path(self.text).expanduser()

    @property
    def in_git(self) -> bool:
        """Is it a file of a commit? A file that is there wins, and so does one on a drive of Windows."""
        ref, _, inner = self.text.partition(":")
        return bool(ref and inner) and not _DRIVE.match(self.text) and not self.path.exists()

    def read(self) -> Baseline:
        """Read the baseline.

        Raises:
            ConfigurationError: no such file, commit or repository, or it holds no baseline.
        """
        if self.in_git:
            return parse_baseline(self._from_git(), self.where, self.text)
        try:
            return parse_baseline(self.path.read_bytes(), self.where, self.text)
        except FileNotFoundError:
            fix = "make it with pytest --embed-update-baseline and commit it"
            raise ConfigurationError(self.where, f"no such baseline: {self.path}", fix) from None
        except OSError as error:
            raise ConfigurationError(self.where, f"{self.path} cannot be read: {error.strerror}") from None

    def _from_git(self) -> bytes:
        fix = "write GIT-REF:PATH, the path as seen from the repository's root (or ./PATH from here)"
        if self.text.startswith("-"):
            raise ConfigurationError(self.where, f"{self.text!r}: a commit's name does not start with '-'", fix)
        command = ["git", "cat-file", "blob", self.text]
        try:
            done = subprocess.run(  # noqa: S603 - no shell, and no option: see above
                command,
                cwd=self.folder,
                capture_output=True,
                stdin=subprocess.DEVNULL,
                timeout=GIT_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ConfigurationError(self.where, f"git cannot be run: {error}", "install git, or give a file") from None
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip().partition("\n")[0]
            raise ConfigurationError(self.where, f"git cannot read {self.text}: {said}", fix)
        return done.stdout
