"""What to write where a suite file has a table for a list, a list for a table, or a key in the wrong table."""

from __future__ import annotations

import json
from types import UnionType
from typing import Any, NamedTuple, get_args, get_origin

import msgspec

ELSEWHERE = "tool.embedbench"
"""Table of a suite in ``pyproject.toml``, where models and datasets are lists and their definitions lie deeper."""

DEFINITIONS = ("models", "datasets")


class Mistake(NamedTuple):
    """What stands there, and the line to write."""

    problem: str
    fix: str


def wrong_shape(value: Any, kind: Any, name: str) -> Mistake | None:
    """Return what is wrong with a value that is a table, a list or a text where its key wants another of these.

    Args:
        value: the value in the file.
        kind: the type that the key has.
        name: the name of the key with its tables, such as ``models.mine``.
    """
    kind = get_args(kind)[0] if get_origin(kind) is UnionType else kind
    key = name.rpartition(".")[2].partition("[")[0]
    if get_origin(kind) is list:
        return _not_a_list(value, get_args(kind)[0], name, key)
    if get_origin(kind) is dict:
        return _not_definitions(value, name, key)
    if not _is_table(kind) or isinstance(value, dict):
        return None
    if isinstance(value, list):
        return Mistake("a list of tables, where one table belongs", f"write [{name}], with single brackets")
    if "[" in name or name.rpartition(".")[0].rpartition(".")[2] not in DEFINITIONS:
        return None
    table = name.rpartition(".")[0]
    line = f"{key} = {json.dumps(value)}"
    return Mistake(
        "a value, where a table belongs", f"write [{table}.NAME], with a name of your own, and {line} below it"
    )


def wrong_place(key: str, fields: dict[str, Any], where: str, top: dict[str, Any], settings: dict[str, Any]) -> str:
    """Return the fix for a key that another table has; "" if no other has it.

    Args:
        key: the key that this table does not have.
        fields: the keys that it has.
        where: its place in the file.
        top: the tables at the top of the file.
        settings: the keys of ``[embedbench]``.
    """
    if fields.keys() == top.keys() and key in settings:
        return f"write it below [embedbench]: {key} = ..."
    if fields.keys() == settings.keys() and key in top and not where.endswith(ELSEWHERE):
        brackets = f"[[{key}]]" if get_origin(top[key]) is list else f"[{key}]"
        return f"write {brackets}, at the top of the file"
    return ""


def _not_a_list(value: Any, kind: Any, name: str, key: str) -> Mistake | None:
    if isinstance(value, list):
        return None
    if _is_table(kind):
        if isinstance(value, dict):
            return Mistake("one table, where a list of tables belongs", f"write [[{name}]], with double brackets")
        return Mistake("a value, where a list of tables belongs", f"write [[{name}]], and the keys of a check below it")
    if isinstance(value, str):
        return Mistake("a text, where a list belongs", f"write {key} = {json.dumps([value], ensure_ascii=False)}")
    if isinstance(value, dict) and key in DEFINITIONS:
        table = f"{ELSEWHERE}.define.{key}" if name.startswith(ELSEWHERE) else key
        names = list(value) or ["NAME"]
        lines = (
            f"write {key} = {json.dumps(names, ensure_ascii=False)}, and define each name below [{table}.{names[0]}]"
        )
        return Mistake("a table, where a list of names belongs", lines)
    return None


def _not_definitions(value: Any, name: str, key: str) -> Mistake | None:
    if isinstance(value, dict):
        return None
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        named = next((item[known] for item in value for known in ("name", "alias", "id") if known in item), "NAME")
        problem = "a list of tables, where a table for each name belongs"
        return Mistake(problem, f"write [{name}.{named}], with single brackets and the name in them")
    if key in DEFINITIONS and not name.startswith(ELSEWHERE):
        names = [value] if isinstance(value, str) else value
        fix = f"write it below [embedbench]: {key} = {json.dumps(names, ensure_ascii=False, default=str)}"
        return Mistake("a list of names, where definitions belong", fix)
    return None


def _is_table(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)
