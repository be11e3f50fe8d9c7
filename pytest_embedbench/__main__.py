"""``python -m pytest_embedbench``: the command ``embedbench``, also where another package owns that name."""

from __future__ import annotations

from pytest_embedbench.cli import main

if __name__ == "__main__":
    main(prog_name="python -m pytest_embedbench")
