from __future__ import annotations

from pytest_embedbench import __version__

project = "pytest-embedbench"
author = "The pytest-embedbench authors"
copyright = author  # noqa: A001 - Sphinx's name for it
release = version = __version__

extensions = ["myst_parser"]
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
exclude_patterns = ["_build", "extra"]
# Copied as it is: the pages of examples/leaderboard, which make leaderboard renews.
html_extra_path = ["extra"]

html_theme = "furo"
html_title = f"pytest-embedbench {release}"
nitpicky = True
