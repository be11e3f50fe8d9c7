"""Which of a folder's files are the corpus, the queries and the judgments.

Two layouts are known, and their mixtures:

- BEIR's: ``corpus.jsonl``, ``queries.jsonl``, ``qrels/<split>.tsv``;
- that of MTEB's repositories on the Hub: configurations ``corpus``, ``queries`` and ``default`` or ``qrels``, each with
  splits. The front matter of their ``README.md`` says which files these are (``configs:``, as for Hugging Face's
  ``datasets``); where it does not, names do: ``corpus/train-00000-of-00002.parquet``. Several languages in one
  repository are subsets: ``ar-corpus``, ``ar-queries``, ``ar-qrels``. NanoBEIR is such a repository with one split.

The configurations are those that MTEB's own loader asks for (mteb/abstasks/retrieval_dataset_loaders.py), and splits
are chosen as it chooses them: the one that is asked for, else the only one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from importlib.resources.abc import Traversable
from pathlib import PurePosixPath
from typing import NamedTuple, TypeVar

import msgspec

from pytest_embedbench.datasets.files import walk
from pytest_embedbench.datasets.tables import SUFFIXES, is_table
from pytest_embedbench.errors import DatasetError

README = "README.md"
BEIR = "a BEIR folder holds corpus.jsonl, queries.jsonl and qrels/<split>.tsv"

CORPUS, QUERIES, QRELS = ("corpus",), ("query", "queries"), ("default", "qrels")
"""Names of configurations, the first that is there counts."""

BY_NAME = ("corpus*", "queries*", "query*", "qrels*", "default/*")
"""Where files lie in a repository whose README does not say so."""

FRONT_MATTER = re.compile(r"\A\ufeff?---\s*\n(.*?)\n---\s*$", re.DOTALL | re.MULTILINE)
SHARD = re.compile(r"[-_.]?\d+-of-\d+(-\w+)?$")
"""How the Hub numbers the parts of a split."""

Patterns = dict[str, dict[str, list[str]]]
"""Configuration -> split -> patterns of its files, relative to the repository."""

Config = dict[str, list[Traversable]]
"""The files of a configuration by split."""

Files = Sequence[tuple[str, Traversable]]
T = TypeVar("T")


class UnknownSplitError(DatasetError):
    """The split asked for is not there, or there are several and none was asked for."""


class Layout(NamedTuple):
    """The dataset's files; those of judgments by split."""

    corpus: list[Traversable]
    queries: list[Traversable]
    qrels: dict[str, list[Traversable]]
    split: str
    """The judgments to use; "" where there are none."""


class _DataFiles(msgspec.Struct):
    path: str | list[str]
    split: str = "train"


class _Config(msgspec.Struct):
    config_name: str = "default"
    data_files: str | list[str | _DataFiles] | dict[str, str | list[str]] = []
    data_dir: str = ""

    @property
    def patterns(self) -> dict[str, list[str]]:
        """By split; files without one are its ``train`` split, as in Hugging Face's ``datasets``."""
        files = self.data_files or f"{self.data_dir.strip('/')}/*"
        if isinstance(files, dict):
            return {split: _several(paths) for split, paths in files.items()}
        found: dict[str, list[str]] = {}
        for entry in [files] if isinstance(files, str) else files:
            data = entry if isinstance(entry, _DataFiles) else _DataFiles(path=entry)
            found.setdefault(data.split, []).extend(_several(data.path))
        return found


class _Card(msgspec.Struct):
    configs: list[_Config] = []


def declared(root: Traversable) -> Patterns:
    """The configurations that the README's front matter declares; none where it has no such part.

    Raises:
        DatasetError: the front matter cannot be read.
    """
    readme = root.joinpath(README)
    if not readme.is_file():
        return {}
    found = FRONT_MATTER.search(readme.read_bytes().decode("utf-8", "replace").replace("\r\n", "\n"))
    if not found:
        return {}
    try:
        card = msgspec.yaml.decode(found[1], type=_Card)
    except msgspec.DecodeError as error:
        raise DatasetError(f"{readme}: its front matter (configs) cannot be read: {error}") from None
    return {config.config_name: config.patterns for config in card.configs}


def needed(root: Traversable, subset: str) -> list[str]:
    """Patterns of the files of a repository that a dataset is made of: tables only. Of ``root`` the README is read."""
    configs = declared(root)
    prefix = _prefix(configs, subset, str(root))
    chosen = [_config(configs, prefix, names) for names in (CORPUS, QUERIES, QRELS)]
    wanted = [pattern.removeprefix("./") for config in chosen for several in config.values() for pattern in several]
    if not chosen[0]:
        wanted = [f"{place}{pattern}" for place in ("", "data/", "*-") for pattern in BY_NAME]
    return [each for pattern in wanted for each in ([pattern] if is_table(pattern) else _as_tables(pattern))]


def _as_tables(pattern: str) -> list[str]:
    return [pattern.rstrip("*") + "*" + suffix for suffix in SUFFIXES]


def find_layout(root: Traversable, split: str = "", subset: str = "") -> Layout:
    """Find the dataset's files.

    Args:
        root: the folder.
        split: the judgments asked for; absent: ``test``, or the only ones.
        subset: of a repository with several languages or domains, the one to use.

    Raises:
        DatasetError: there is no corpus or there are no queries, or which subset is to be used is not clear.
        UnknownSplitError: the split asked for is not there, or there are several and none is ``test``.
    """
    configs = _configs(root)
    prefix = _prefix(configs, subset, str(root))
    corpus, queries, qrels = (_config(configs, prefix, names) for names in (CORPUS, QUERIES, QRELS))
    for name, found in (("corpus", corpus), ("queries", queries)):
        if not found:
            raise DatasetError(f"{root.joinpath(f'{name}.jsonl')}: no such file; {BEIR}")
    split = choose_split(sorted(qrels), split, str(root.joinpath("qrels")))
    return Layout(_part(corpus, split, root, "corpus"), _part(queries, split, root, "queries"), qrels, split)


def find_splits(root: Traversable, subset: str = "") -> list[str]:
    """The splits that have judgments.

    Raises:
        DatasetError: there is no such folder, or which subset is to be used is not clear.
    """
    configs = _configs(root)
    return sorted(_config(configs, _prefix(configs, subset, str(root)), QRELS))


def _configs(root: Traversable) -> dict[str, Config]:
    if not root.is_dir():
        raise DatasetError(f"{root.joinpath('corpus.jsonl')}: no such file; {BEIR}")
    files = [(name, file) for name, file in walk(root) if is_table(name)]
    configs = _matched(declared(root), files)
    if not any(name.endswith("corpus") for name in configs):
        configs = _by_name(files)
    return configs


def choose_split(there: Sequence[str], asked: str, where: str) -> str:
    """The split to use: the one asked for, else ``test``, else the only one; "" where there are no judgments.

    Raises:
        UnknownSplitError: the split asked for is not there, or there are several and none is ``test``.
    """
    if asked:
        if asked not in there:
            raise UnknownSplitError(f"{where}: no split {asked!r}; there are: {', '.join(there) or 'none'}")
        return asked
    if "test" in there or not there:
        return "test" if there else ""
    if len(there) > 1:
        raise UnknownSplitError(f"{where}: which split? choose one of {', '.join(there)}")
    return there[0]


def _part(config: Config, split: str, root: Traversable, name: str) -> list[Traversable]:
    """Files of the corpus or the queries: the split of the judgments' name where there is one, else the only one."""
    if split not in config and len(config) > 1:
        raise UnknownSplitError(f"{root}: its {name} has splits {', '.join(sorted(config))} and none called {split!r}")
    return config[split] if split in config else next(iter(config.values()))


def _prefix(configs: Mapping[str, object], subset: str, where: str) -> str:
    """What stands before the names of a subset's configurations."""
    subsets = sorted(name.removesuffix("-corpus") for name in configs if name.endswith("-corpus"))
    if subset in {"", "default"} and ("corpus" in configs or not subsets):
        return ""
    if not subset and len(subsets) == 1:
        subset = subsets[0]
    if subset not in subsets:
        which = f"no subset {subset!r}" if subset else "which subset?"
        raise DatasetError(f"{where}: {which}; choose one of {', '.join(subsets) or 'none'} with subset = ...")
    return f"{subset}-"


def _config(configs: Mapping[str, dict[str, T]], prefix: str, names: Sequence[str]) -> dict[str, T]:
    """The first of the configurations that is there."""
    return next((configs[prefix + name] for name in names if prefix + name in configs), {})


def _matched(patterns: Patterns, files: Files) -> dict[str, Config]:
    """The files that declared patterns mean."""
    configs: dict[str, Config] = {}
    for config, splits in patterns.items():
        for split, wanted in splits.items():
            plain = [pattern.removeprefix("./") for pattern in wanted]
            if found := [file for name, file in files if any(fnmatchcase(name, pattern) for pattern in plain)]:
                configs.setdefault(config, {})[split] = found
    return configs


def _by_name(files: Files) -> dict[str, Config]:
    """``corpus.jsonl``, ``qrels/test.tsv``, ``data/corpus/train-00000-of-00001.parquet``: configuration and split."""
    configs: dict[str, Config] = {}
    for name, file in files:
        path = PurePosixPath(name.removeprefix("data/"))
        stem = SHARD.sub("", path.name.partition(".")[0])
        config = path.parts[0] if len(path.parts) > 1 else stem
        # A single file of judgments is the test split.
        split = "test" if len(path.parts) == 1 and config.endswith("qrels") else stem
        configs.setdefault(config, {}).setdefault(split, []).append(file)
    return configs


def _several(paths: str | list[str]) -> list[str]:
    return [paths] if isinstance(paths, str) else paths
