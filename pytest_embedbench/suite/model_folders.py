"""Folders of models: what they are known as, and which one a misspelt name probably means."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

import msgspec

from pytest_embedbench import catalog
from pytest_embedbench.catalog.served_names import HUB_CACHE_FOLDER, hub_cache_id
from pytest_embedbench.core.files import exists, is_folder, user_path
from pytest_embedbench.errors import ConfigurationError
from pytest_embedbench.models.spec import ModelSpec
from pytest_embedbench.remote.hub import HubError, find_cached

MODEL_FILES = ("modules.json", "config.json", "adapter_config.json")
"""Files of which a model's folder has one; the last is that of an adapter, whose base is elsewhere."""

MAX_LISTED = 2_000
"""Entries of a folder that are looked at for a similar name, at most."""

MAX_NAMED = 5
"""Folders that a message names, at most."""

MIN_SIMILARITY = 0.8
"""difflib's ratio; folders that are less like a name are not what it means."""


def is_model_folder(folder: Path) -> bool:
    """Whether the folder holds a model."""
    return any(exists(folder / name) for name in MODEL_FILES)


def absolute(folder: Path, path: str) -> str:
    """Return a path, relative to a folder, as an absolute one.

    Links keep their names: a link may have the name that a model is known by, and lead to a folder with another.
    """
    given = os.path.join(folder, os.path.expanduser(path))  # noqa: PTH111, PTH118 - as in ``user_path``
    return str(user_path(path, folder)) if ".." in Path(given).parts else os.path.normpath(given)


def check_model_folder(spec: ModelSpec, where: str, base: Path) -> None:
    """Check that ``path`` is a folder with a model.

    Args:
        spec: a definition with ``path``.
        where: file and key, for messages.
        base: the folder that relative paths start at.

    Raises:
        ConfigurationError: it is not; the message names the folder that is probably meant.
    """
    folder = Path(spec.path)
    if not is_folder(folder):
        meant = similar_folder(spec.path, base)
        fix = f"did you mean {meant}?" if meant else "give a saved model's folder"
        raise ConfigurationError(f"{where}.path", f"no such folder: {folder}", fix)
    if is_model_folder(folder):
        return
    problem = f"{folder} has neither modules.json nor config.json"
    fix = "give the folder of a saved sentence-transformers model"
    inside = sorted(path for path in _subfolders(folder) if is_model_folder(path))
    if HUB_CACHE_FOLDER.fullmatch(folder.name):
        inside = sorted(path for path in _subfolders(folder / "snapshots") if is_model_folder(path))
    if inside:
        fix = f"did you mean {', '.join(_shown(path, base) for path in inside[:3])}?"
    raise ConfigurationError(where, problem, fix)


def refuse_misspelt_folder(name: str, folder: Path, where: str) -> None:
    """Refuse a name in the form of a Hub id that is nearly the path of a model's folder, or lies beside such folders.

    Raises:
        ConfigurationError: such a folder is there, and the Hub's cache has no repository of this name.
    """
    meant = similar_folder(name, folder)
    beside: list[str] = []
    if not meant and not _is_organization(name.partition("/")[0]):
        beside = sorted(path.name for path in _subfolders((folder / name).parent) if is_model_folder(path))
    if not (meant or beside) or _is_cached(name):
        return
    fix = f"did you mean {meant}?" if meant else f"that folder has {', '.join(beside[:MAX_NAMED])}."
    fix += f' A model of the Hub is defined with hub = "{name}"'
    raise ConfigurationError(where, f"no such folder: {name}", fix)


def is_like(name: str, known: Iterable[str]) -> bool:
    """Whether one of the known names is nearly this one."""
    import difflib  # only errors need it, and every session imports this module

    return bool(difflib.get_close_matches(name.casefold(), [word.casefold() for word in known], 1, MIN_SIMILARITY))


def similar_folder(name: str, base: Path) -> str:
    """Return the path of the model's folder that is most like a name; empty if none is like it.

    Args:
        name: a path; it may be relative.
        base: the folder that relative paths start at.
    """
    import difflib  # as above

    wanted = Path(absolute(base, name))
    parent = wanted.parent
    places = [(parent, _subfolders(parent))]
    # Where it has no neighbour like it, the folder above may be misspelt.
    if parent != Path(absolute(base, "")):
        above = (path for top in _subfolders(parent.parent) for path in _subfolders(top))
        places.append((parent.parent, islice(above, MAX_LISTED)))
    for place, folders in places:
        by_name = {str(path.relative_to(place)).casefold(): path for path in folders if is_model_folder(path)}
        below = str(wanted.relative_to(place)).casefold()
        for match in difflib.get_close_matches(below, by_name, n=1, cutoff=MIN_SIMILARITY):
            return _shown(by_name[match], base)
    return ""


def _subfolders(folder: Path) -> Iterator[Path]:
    with suppress(OSError, ValueError):
        yield from (path for path in islice(folder.iterdir(), MAX_LISTED) if path.is_dir())


def _shown(path: Path, base: Path) -> str:
    with suppress(ValueError):  # it is not below
        return f"./{path.relative_to(absolute(base, ''))}"
    return str(path)


def _is_organization(name: str) -> bool:
    """Whether the catalogue has models of an organization of this name: a folder with its models may be called so."""
    return any(entry.hub.partition("/")[0].casefold() == name.casefold() for entry in catalog.models().values())


def _is_cached(repository: str) -> bool:
    try:
        find_cached(repository, kind="model", patterns=["config.json", "modules.json"])
    except HubError:
        return False
    return True


def identified(spec: ModelSpec) -> ModelSpec:
    """Return a local model's definition with what its place tells of it.

    A folder of the Hub's cache tells Hub id and commit. With a Hub id the catalogue may know the model's prompts, which
    its own files often do not declare.
    """
    if spec.path and not spec.hub and (cached := hub_cache_id(spec.path)):
        spec = msgspec.structs.replace(spec, hub=cached[0], revision=spec.revision or cached[1])
    entry = catalog.find(catalog.models(), spec.hub) if spec.hub else None
    if entry is None or entry[1].hub.casefold() != spec.hub.casefold():
        return spec
    known = entry[1]
    return msgspec.structs.replace(
        spec,
        query_prompt=known.query_prompt if spec.query_prompt is None else spec.query_prompt,
        document_prompt=known.document_prompt if spec.document_prompt is None else spec.document_prompt,
    )
