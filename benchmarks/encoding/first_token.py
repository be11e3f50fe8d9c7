"""A pytest plugin (``-p encoding.first_token``) that records the time from the start of the process to the first batch.

The package is not changed: the model's class is wrapped once its module is imported, and unwrapped at the first call.
"""

from __future__ import annotations

import functools
import os
import sys
import time
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from encoding.process import STARTED

WRITTEN_TO = "BENCHMARK_FIRST_TOKEN"
MODULE, CLASS, METHOD = "pytest_embedbench.models.local.sentence_transformer", "SentenceTransformerModel", "forward"


class _Wrapping(Loader):
    """The module's own loader, which wraps the class after loading."""

    def __init__(self, own: Loader) -> None:
        self._own = own

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._own.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._own.exec_module(module)
        _note_first_call(getattr(module, CLASS))


class _Finder(MetaPathFinder):
    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if fullname != MODULE:
            return None
        sys.meta_path.remove(self)
        spec = find_spec(fullname)
        assert spec is not None
        assert spec.loader is not None
        spec.loader = _Wrapping(spec.loader)
        return spec


def _note_first_call(model: type) -> None:
    original = getattr(model, METHOD)

    @functools.wraps(original)
    def noting(*arguments: Any, **keywords: Any) -> Any:
        seconds = time.monotonic() - float(os.environ[STARTED])
        setattr(model, METHOD, original)
        Path(os.environ[WRITTEN_TO]).write_text(repr(seconds), encoding="utf-8")
        return original(*arguments, **keywords)

    setattr(model, METHOD, noting)


sys.meta_path.insert(0, _Finder())
