"""Find a baseline: a file, or a file of another commit (``GIT-REF:PATH``)."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import msgspec

from pytest_embedbench.core.files import user_path
from pytest_embedbench.errors import ConfigurationError
from pytest_embedbench.results.baseline import Baseline, parse_baseline

GIT_TIMEOUT = 60
"""Seconds; a repository that fetches missing objects from its remote may wait for the network."""
FIX_UNREADABLE = "make it readable for you, or give another file"
FIRST_BASELINE = (
    "write the baseline with pytest --embed-update-baseline, and commit it to {ref}; a change that brings the first "
    "baseline is tested without this option, against the file beside its suite"
)
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")


class BaselineSource(msgspec.Struct, frozen=True):
    """A baseline as the user wrote it (``text``), relative to ``folder``; ``where`` is the option or key with it."""

    text: str
    folder: Path
    where: str

    @property
    def path(self) -> Path:
        """The path, if the baseline is not in a commit."""
        return user_path(self.text, self.folder)

    @property
    def in_git(self) -> bool:
        """Whether this is a file of a commit; an existing file and a path on a Windows drive take precedence."""
        ref, _, inner = self.text.partition(":")
        return bool(ref and inner) and not _DRIVE.match(self.text) and not self.path.exists()

    def read(self) -> Baseline:
        """Read the baseline.

        Raises:
            ConfigurationError: there is no such file, commit or repository, or the file is not a baseline.
        """
        if self.in_git:
            return parse_baseline(self._from_git(), self.where, self.text)
        try:
            return parse_baseline(self.path.read_bytes(), self.where, self.text)
        except FileNotFoundError:
            fix = "create it with pytest --embed-update-baseline and commit it"
            raise ConfigurationError(self.where, f"no such baseline: {self.path}", fix) from None
        except OSError as error:
            raise ConfigurationError(
                self.where, f"{self.path} cannot be read: {error.strerror}", FIX_UNREADABLE
            ) from None

    def _from_git(self) -> bytes:
        fix = "write GIT-REF:PATH, the path as seen from the repository's root (or ./PATH from here)"
        # git would take such a text for an option.
        if self.text.startswith("-"):
            raise ConfigurationError(self.where, f"{self.text!r}: a commit's name does not start with '-'", fix)
        # cat-file gives the bytes as they were committed; show may convert them, as .gitattributes says.
        git = self._git("cat-file", "blob", self.text)
        if git.returncode:
            # git's first line has the reason; the others are advice.
            reason = git.stderr.decode(errors="replace").strip().partition("\n")[0]
            ref, _, path = self.text.partition(":")
            known = not self._git("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}").returncode
            if known and self._git("cat-file", "-e", self.text).returncode:
                problem = f"{ref} has no {path}, so that there is nothing to compare with yet ({reason})"
                raise ConfigurationError(self.where, problem, FIRST_BASELINE.format(ref=ref))
            if not self._git("rev-parse", "--git-dir").returncode:
                fix = f"{fix}; a commit that is not here must be fetched (actions/checkout: fetch-depth: 0)"
            raise ConfigurationError(self.where, f"git cannot read {self.text}: {reason}", fix)
        return git.stdout

    def _git(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        """Run git in the folder.

        Raises:
            ConfigurationError: there is no git, or it does not end.
        """
        try:
            return subprocess.run(  # noqa: S603 - no shell, and no option: see _from_git
                ["git", *arguments],  # noqa: S607 - the user's own git
                cwd=self.folder,
                capture_output=True,
                stdin=subprocess.DEVNULL,
                timeout=GIT_TIMEOUT,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ConfigurationError(self.where, f"git cannot be run: {error}", "install git, or give a file") from None
