"""Prompts: texts in front of queries and documents, with places for the dataset's task and the document's title."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from pytest_embedbench.core.parsing import ParseError
from pytest_embedbench.datasets.types import Role
from pytest_embedbench.errors import closest

NO_TITLE = "none"
"""The title of documents that have none, as EmbeddingGemma was trained: ``title: none | text: ``."""

PLACES: dict[Role, tuple[str, ...]] = {"query": ("task",), "document": ("task", "title")}
"""Role -> names that may stand in braces in its prompts."""

TEXT_WORDS = {"text", "content", "contents", "query", "document", "passage", "input", "body"}
"""Words in braces by which model cards show where the text itself stands."""

_BRACES = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_TITLE_OR = re.compile(r"""title\s*\|\s*(["'])(.*)\1""", re.DOTALL)

Name = Literal["task", "title"]


class Place(NamedTuple):
    """Braces in a prompt; ``otherwise`` stands there where a document has no title."""

    name: Name
    otherwise: str = NO_TITLE


def prompt_parts(prompt: str, role: Role) -> list[str | Place]:
    """Return the prompt's text and places, in order. Doubled braces stand for single ones.

    Raises:
        ParseError: nothing fills a pair of braces, or one is alone.
    """
    parts: list[str | Place] = []
    end = 0
    for match in _BRACES.finditer(prompt):
        parts.append(prompt[end : match.start()])
        end = match.end()
        parts.append(match[0][0] if match[0] in {"{{", "}}"} else _place(match, role))
    parts.append(prompt[end:])
    return [part for part in parts if part]


def _place(match: re.Match[str], role: Role) -> Place:
    name = match[1]
    if name is None:
        fix = "write {{ and }} for braces that belong to the text"
        raise ParseError(f"the brace {match[0]!r} has no counterpart", fix)
    if titled := _TITLE_OR.fullmatch(name.strip()):
        name, otherwise = "title", titled[2]
    else:
        otherwise = NO_TITLE
    known = PLACES[role]
    if name == "task":
        return Place("task")
    if name == "title" and "title" in known:
        return Place("title", otherwise)
    listed = " and ".join(f"{{{place}}}" for place in known)
    problem = f"nothing fills {match[0]}: known in a {role}'s prompt {'are' if len(known) > 1 else 'is'} {listed}"
    if name == "title":
        fix = "leave it out: only documents have titles"
    elif name.casefold() in TEXT_WORDS:
        fix = "end the prompt there: the text follows it"
    else:
        fix = f"{closest(name, known)}; write {{{{ and }}}} for braces that belong to the text"
    raise ParseError(problem, fix)


def declared_prompt(prompts: Mapping[str, str | None], role: Role) -> str:
    """Return the prompt of a checkpoint that sentence-transformers' ``encode_query`` or ``encode_document`` takes.

    Every SentenceTransformer has prompts of these two names, empty ones if the checkpoint declares none. So neither
    ``passage`` and ``corpus``, which ``encode_document`` looks up too, nor the default prompt is ever taken.
    """
    return prompts.get(role) or ""


def declaration_notice(
    declared: Mapping[str, str | None], default_name: str | None, definition: Mapping[Role, str | None]
) -> str:
    """Return a note where some of a checkpoint's prompts are not used, or not as they look; empty otherwise.

    Prompts that are used as declared are among the model's facts.

    Args:
        declared: the checkpoint's prompts by name.
        default_name: its ``default_prompt_name``.
        definition: role -> the definition's prompt; None where the checkpoint's is used.
    """
    left = [role for role, prompt in definition.items() if prompt is None]
    declares = {name: prompt for name, prompt in declared.items() if prompt}
    if not left or not declares:
        return ""
    chosen = [f"a {role} gets {declares[role]!r}" if role in declares else f"a {role} gets none" for role in left]
    surprises = ""
    unused = [f"{name!r} ({prompt!r})" for name, prompt in declares.items() if name not in definition]
    silent = [role for role in left if role not in declares]
    if silent and unused:
        keys = " and ".join(f"{role}_prompt" for role in silent)
        methods = " and ".join(f"encode_{role}" for role in silent)
        surprises += (
            f"; sentence-transformers' {methods} does not use {', '.join(unused)}: {keys} in its definition can"
        )
    if default_name and default_name not in definition:
        surprises += f"; its default prompt {default_name!r} is for encode() alone"
    braces = [declares[role] for role in left if _BRACES.search(declares.get(role, "") or "")]
    if braces:
        surprises += f"; the braces in {', '.join(map(repr, braces))} stay as they are: only a definition's are filled"
    return f"prompts that its checkpoint declares: {', '.join(chosen)}{surprises}" if surprises else ""


def has_place(prompt: str | None, role: Role, name: Name) -> bool:
    """Whether the prompt has a place of this name."""
    return any(isinstance(part, Place) and part.name == name for part in prompt_parts(prompt or "", role))


def filled(parts: Sequence[str | Place], task: str, title: str = "") -> str:
    """Return the prompt's text with this task, and this document's title."""
    texts = {"task": task, "title": title}
    return "".join(
        part if isinstance(part, str) else texts[part.name] or (part.otherwise if part.name == "title" else "")
        for part in parts
    )


def stated(parts: Sequence[str | Place], task: str) -> str:
    """Return the prompt as results state it: with this task, and ``{title}`` where each document has its own."""
    texts = {"task": task, "title": "{title}"}
    return "".join(part if isinstance(part, str) else texts[part.name] for part in parts)


def split_at_title(parts: Sequence[str | Place]) -> tuple[list[str | Place], list[str | Place]]:
    """Return what stands before the first place of a title, which all documents share, and the rest."""
    index = next((i for i, part in enumerate(parts) if isinstance(part, Place) and part.name == "title"), len(parts))
    return list(parts[:index]), list(parts[index:])
