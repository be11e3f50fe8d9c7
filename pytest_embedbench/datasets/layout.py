"""Find which of a folder's files are the corpus, the queries and the judgments.

Two layouts are known, and mixtures of them:

- BEIR's: ``corpus.jsonl``, ``queries.jsonl``, ``qrels/<split>.tsv``;
- that of MTEB's repositories on the Hub: configurations ``corpus``, ``queries`` and ``default`` or ``qrels``, each with
  splits. The front matter of ``README.md`` lists their files (``configs:``, as in Hugging Face's ``datasets``); without
  it the files are known by their names: ``corpus/train-00000-of-00002.parquet``. Several languages in one repository
  are subsets: ``ar-corpus``, ``ar-queries``, ``ar-qrels``. NanoBEIR is such a repository with one split.

The names of the configurations are those that MTEB's own loader asks for
(mteb/abstasks/retrieval_dataset_loaders.py), and splits are chosen as it chooses them: the given split if it exists,
else the only one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from importlib.resources.abc import Traversable
from pathlib import PurePosixPath
from typing import NamedTuple, TypeVar

import msgspec

from pytest_embedbench.core.decoding import DecodingError, decode_yaml
from pytest_embedbench.core.files import is_file, is_folder
from pytest_embedbench.core.parsing import ParseError, refuse_long
from pytest_embedbench.datasets.files import opened, walk
from pytest_embedbench.datasets.tables import SUFFIXES, is_table, json_lines_fix
from pytest_embedbench.errors import DatasetError

README = "README.md"
BEIR_FIX = "a BEIR folder holds corpus.jsonl, queries.jsonl and qrels/<split>.tsv"
SAVE_TO_DISK = ("state.json", "dataset_dict.json")
"""Files that ``save_to_disk`` of Hugging Face's ``datasets`` writes."""
SAVE_TO_DISK_FIX = (
    "write each part as JSON lines, in Python: datasets.load_from_disk(FOLDER)[NAME].to_json('corpus.jsonl'), and"
    " queries.jsonl and qrels/test.jsonl likewise"
)
SPLIT_FIX = "choose one with split = ... or --embed-dataset=NAME@SPLIT"

CORPUS, QUERIES, QRELS = ("corpus",), ("query", "queries"), ("default", "qrels")
"""Names that a configuration may have; the first one that exists is used."""

JUDGMENT_WORDS = ("judgment", "judgement", "relevance")
"""Beginnings of names that files of judgments have elsewhere."""
DATA_SUFFIXES = ("", ".txt", ".trec", ".qrel", ".qrels", ".rel", ".json", ".xls", ".xlsx", ".ndjson", ".arrow")
"""Endings of files of texts or judgments that are not read."""

DEFAULT_PATTERNS = ("corpus*", "queries*", "query*", "qrels*", "default/*")
"""Files of a dataset in a repository whose README lists none."""

FRONT_MATTER = re.compile(r"\A\ufeff?---\s*\n(.*?)\n---\s*$", re.DOTALL | re.MULTILINE)
SHARD = re.compile(r"[-_.]?\d+-of-\d+(-\w+)?$")
"""The Hub's numbering of a split's parts: ``-00000-of-00002``."""

FilePatterns = dict[str, dict[str, list[str]]]
"""Configuration -> split -> patterns of its files, relative to the repository."""

SplitFiles = dict[str, list[Traversable]]
"""Files of one configuration, by split."""

T = TypeVar("T")


class UnknownSplitError(DatasetError):
    """The given split does not exist, or several exist and none was given."""


class Layout(NamedTuple):
    """A dataset's files; those of the judgments by split."""

    corpus: list[Traversable]
    queries: list[Traversable]
    qrels: dict[str, list[Traversable]]
    split: str
    """The judgments to use; "" if there are none."""


class _DataFiles(msgspec.Struct):
    """An entry of ``data_files``, as Hugging Face's ``datasets`` defines it."""

    path: str | list[str]
    split: str = "train"


class _Config(msgspec.Struct):
    """An entry of ``configs``, as Hugging Face's ``datasets`` defines it; other keys are ignored."""

    config_name: str = "default"
    data_files: str | list[str | _DataFiles] | dict[str, str | list[str]] = []
    data_dir: str = ""

    @property
    def patterns(self) -> dict[str, list[str]]:
        """Patterns by split; files without a split are ``train``, as in Hugging Face's ``datasets``."""
        files = self.data_files or f"{self.data_dir.strip('/')}/*"
        if isinstance(files, dict):
            return {split: _as_list(paths) for split, paths in files.items()}
        by_split: dict[str, list[str]] = {}
        for entry in [files] if isinstance(files, str) else files:
            data = entry if isinstance(entry, _DataFiles) else _DataFiles(path=entry)
            by_split.setdefault(data.split, []).extend(_as_list(data.path))
        return by_split


class _FrontMatter(msgspec.Struct):
    configs: list[_Config] = []


def declared_patterns(root: Traversable) -> FilePatterns:
    """Return the configurations that the README's front matter lists; empty without such a list.

    Raises:
        DatasetError: the front matter cannot be read.
    """
    readme = root.joinpath(README)
    if not readme.is_file():
        return {}
    with opened(readme) as content:
        match = FRONT_MATTER.search(content.read().decode("utf-8", "replace").replace("\r\n", "\n"))
    if not match:
        return {}
    try:
        front_matter = decode_yaml(match[1], _FrontMatter)
    except DecodingError as error:
        raise DatasetError(f"its front matter (configs) cannot be read: {error}", where=str(readme)) from None
    try:
        for config in front_matter.configs:
            for paths in config.patterns.values():
                for path in paths:
                    refuse_long(path)  # before it is compared with the names of files
    except ParseError as error:
        raise DatasetError(f"its front matter (configs): {error.problem}", where=str(readme), fix=error.fix) from None
    return {config.config_name: config.patterns for config in front_matter.configs}


def needed_patterns(root: Traversable, subset: str) -> list[str]:
    """Return patterns of the files that a repository's dataset consists of, so that nothing else is downloaded.

    Only tables match them: no code, weights or images. Of ``root`` only the README needs to be there.

    Raises:
        DatasetError: the front matter cannot be read, or the subset does not exist or has to be given.
    """
    configs = declared_patterns(root)
    prefix = _prefix(configs, subset, str(root))
    chosen = [_config(configs, prefix, names) for names in (CORPUS, QUERIES, QRELS)]
    patterns = [pattern.removeprefix("./") for config in chosen for paths in config.values() for pattern in paths]
    if not chosen[0]:  # the README lists no corpus
        patterns = [f"{folder}{pattern}" for folder in ("", "data/", "*-") for pattern in DEFAULT_PATTERNS]
    return [table for pattern in patterns for table in ([pattern] if is_table(pattern) else _table_patterns(pattern))]


def _table_patterns(pattern: str) -> list[str]:
    return [pattern.rstrip("*") + "*" + suffix for suffix in SUFFIXES]


def find_layout(root: Traversable, split: str = "", subset: str = "") -> Layout:
    """Find a dataset's files.

    Args:
        root: the folder.
        split: which judgments to use; absent: ``test``, or the only ones.
        subset: which language or domain of a repository to use, if it has several.

    Raises:
        DatasetError: there is no corpus or there are no queries, or the subset does not exist or has to be given.
        UnknownSplitError: the given split does not exist, or there are several and none is ``test``.
    """
    configs = _configs(root)
    # "ar-" for the subset "ar", whose configurations are ar-corpus, ar-queries and ar-qrels.
    prefix = _prefix(configs, subset, str(root))
    corpus, queries, qrels = (_config(configs, prefix, names) for names in (CORPUS, QUERIES, QRELS))
    for name, files in (("corpus", corpus), ("queries", queries)):
        if not files:
            raise _no_such_file(root, f"{name}.jsonl")
    split = choose_split(sorted(qrels), split, str(root.joinpath("qrels")))
    return Layout(
        _files_for_split(corpus, split, root, "corpus"), _files_for_split(queries, split, root, "queries"), qrels, split
    )


def find_splits(root: Traversable, subset: str = "") -> list[str]:
    """Return the splits that have judgments.

    Raises:
        DatasetError: there is no such folder, or the subset does not exist or has to be given.
    """
    configs = _configs(root)
    return sorted(_config(configs, _prefix(configs, subset, str(root)), QRELS))


def _no_such_file(root: Traversable, name: str) -> DatasetError:
    if is_file(root):
        if root.name.endswith(".json"):
            fix = json_lines_fix(root.name, f"{root.name}l")
            return DatasetError("JSON, but not JSON lines (.jsonl)", where=str(root), fix=fix)
        fix = f"give a table ({', '.join(SUFFIXES[:4])}), a .zip or a folder: {BEIR_FIX}"
        return DatasetError("neither a table of a known format nor a folder", where=str(root), fix=fix)
    files = [path for path, _ in walk(root)] if is_folder(root) else []
    if any(PurePosixPath(path).name in SAVE_TO_DISK or path.endswith(".arrow") for path in files):
        problem = "a folder that save_to_disk of the datasets library wrote, whose .arrow files are not read"
        return DatasetError(problem, where=str(root), fix=SAVE_TO_DISK_FIX)
    meant = [path for path in left_aside(root) if path.startswith(name.partition(".")[0])] if files else []
    problem = f"no such file, but there is {', '.join(meant)}" if meant else "no such file"
    json = next((path for path in meant if path.endswith(".json")), "")
    return DatasetError(problem, where=str(root.joinpath(name)), fix=json_lines_fix(json, name) if json else BEIR_FIX)


def _configs(root: Traversable) -> dict[str, SplitFiles]:
    """Return the folder's configurations and their files: those of the README, else those that file names show."""
    if not is_folder(root):
        raise _no_such_file(root, "corpus.jsonl")
    files = [(name, file) for name, file in walk(root) if is_table(name)]
    configs = _matching_files(declared_patterns(root), files)
    # A README may list configurations without a corpus, or files that this copy of the repository lacks.
    if not any(name.endswith("corpus") for name in configs):
        configs = _configs_by_name(files)
    return configs


def left_aside(root: Traversable) -> list[str]:
    """Return relative paths of files that are probably meant as a part of the dataset, but are not read as one.

    These are ``qrels/test.txt`` and ``corpus.json``, whose endings are those of no table, and ``judgments.tsv``.
    """
    names = []
    for name, _ in walk(root):
        path = PurePosixPath(name.casefold().removesuffix(".gz"))
        part = path.parts[0] if len(path.parts) > 1 else path.stem
        if is_table(name):
            if len(path.parts) == 1 and part.startswith(JUDGMENT_WORDS):
                names.append(name)
        elif part in {*CORPUS, *QUERIES, "qrels", "qrel"} or part.startswith(JUDGMENT_WORDS):
            names += [name] if path.suffix in DATA_SUFFIXES else []
    return names


def choose_split(splits: Sequence[str], given: str, where: str) -> str:
    """Return the split to use: the given one, else ``test``, else the only one; "" if there are no judgments.

    Raises:
        UnknownSplitError: the given split does not exist, or there are several and none is ``test``.
    """
    if given:
        if given not in splits:
            problem = f"no split {given!r}; there are: {', '.join(splits) or 'none'}"
            raise UnknownSplitError(problem, where=where, fix=SPLIT_FIX)
        return given
    if "test" in splits or not splits:
        return "test" if splits else ""
    if len(splits) > 1:
        raise UnknownSplitError(f"several splits and no 'test': {', '.join(splits)}", where=where, fix=SPLIT_FIX)
    return splits[0]


def _files_for_split(config: SplitFiles, split: str, root: Traversable, name: str) -> list[Traversable]:
    """Return files of the corpus or the queries: of the split with the judgments' name, else of the only split."""
    if split in config:
        return config[split]
    # Only judgments need the split's name: many repositories have their corpus in a single split called "train".
    if len(config) > 1:
        problem = f"its {name} has the splits {', '.join(sorted(config))}, but none is called {split!r}"
        raise UnknownSplitError(problem, where=str(root), fix=SPLIT_FIX)
    return next(iter(config.values()))


def _prefix(configs: Mapping[str, object], subset: str, where: str) -> str:
    """Return the beginning of the names of a subset's configurations; "" for a dataset without subsets."""
    subsets = sorted(name.removesuffix("-corpus") for name in configs if name.endswith("-corpus"))
    if subset in {"", "default"} and ("corpus" in configs or not subsets):
        return ""
    if not subset and len(subsets) == 1:
        subset = subsets[0]
    if subset not in subsets:
        problem = f"no subset {subset!r}" if subset else "several subsets"
        fix = f"choose one of {', '.join(subsets) or 'none'} with subset = ..."
        raise DatasetError(problem, where=where, fix=fix)
    return f"{subset}-"


def _config(configs: Mapping[str, dict[str, T]], prefix: str, names: Sequence[str]) -> dict[str, T]:
    """Return the first of the configurations that exists; empty if none does."""
    return next((configs[prefix + name] for name in names if prefix + name in configs), {})


def _matching_files(patterns: FilePatterns, files: Sequence[tuple[str, Traversable]]) -> dict[str, SplitFiles]:
    """Return the files that match declared patterns; ``files`` are pairs of relative path and file."""
    configs: dict[str, SplitFiles] = {}
    for config, splits in patterns.items():
        for split, paths in splits.items():
            plain = [path.removeprefix("./") for path in paths]
            if matches := [file for name, file in files if any(fnmatchcase(name, pattern) for pattern in plain)]:
                configs.setdefault(config, {})[split] = matches
    return configs


def _configs_by_name(files: Sequence[tuple[str, Traversable]]) -> dict[str, SplitFiles]:
    """Return files by configuration and split, as their names show them.

    These are ``corpus.jsonl``, ``qrels/test.tsv``, ``data/corpus/train-00000-of-00001.parquet`` and the like.
    """
    configs: dict[str, SplitFiles] = {}
    for name, file in files:
        path = PurePosixPath(name.removeprefix("data/"))
        stem = SHARD.sub("", path.name.partition(".")[0])
        config = path.parts[0] if len(path.parts) > 1 else stem
        # A single file of judgments is the test split.
        split = "test" if len(path.parts) == 1 and config.endswith("qrels") else stem
        configs.setdefault(config, {}).setdefault(split, []).append(file)
    return configs


def _as_list(paths: str | list[str]) -> list[str]:
    return [paths] if isinstance(paths, str) else paths
