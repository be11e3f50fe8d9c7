from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_embedbench import __version__

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "pytest-embedbench"
author = "The pytest-embedbench authors"
copyright = author  # noqa: A001 - Sphinx's name for it
release = version = __version__

extensions = ["myst_parser"]
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = f"pytest-embedbench {release}"
nitpicky = True

QUICKSTART = Path(__file__).resolve().parents[1] / "examples" / "quickstart"
COMPETITORS = "bm25,minilm,minilm@dim=128,minilm@int8"


def write_example_leaderboard(app: Sphinx) -> None:
    """Run the quickstart suite with four models and write its leaderboard beside the pages that link to it.

    The results stay beside the built pages, so that the next build encodes and measures nothing again.

    Raises:
        ExtensionError: The run failed; the text is pytest's own output.
    """
    from sphinx.errors import ExtensionError

    if app.builder.format != "html":
        return
    kept = app.outdir.parent / "example-leaderboard"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    command += [f"--embed-model={COMPETITORS}", "--embed-no-conformance", "--embed-profile-seconds=1"]
    command += [f"--embed-results={kept / 'results'}", f"--embed-card={kept / 'cards'}"]
    command += [f"--embed-leaderboard={app.outdir / 'example-leaderboard'}"]
    run = subprocess.run(command, cwd=QUICKSTART, capture_output=True, text=True, check=False)  # noqa: S603
    if run.returncode:
        text = f"the example leaderboard could not be made\n{run.stdout}{run.stderr}"
        raise ExtensionError(text)


def setup(app: Sphinx) -> None:
    """Register what these pages need beyond Markdown."""
    app.connect("builder-inited", write_example_leaderboard)
