"""What is declared of the model, against what it does: pooling, prompts, roles."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pytest_embedbench.conformance.outcome import Outcome, Probe, judged, skipped
from pytest_embedbench.conformance.samples import TEXTS
from pytest_embedbench.conformance.subject import Subject, distances
from pytest_embedbench.datasets.types import ROLES
from pytest_embedbench.models.spec import TASK

if TYPE_CHECKING:
    from pytest_embedbench.datasets.types import Role

UNKNOWN = "neither its definition nor the catalogue says what it should be"


def _declaration(subject: Subject) -> Outcome:
    if subject.served:
        return skipped("a server does not say how it pools")
    problems, compared = [], 0
    # Not the padding side: pooling here follows the mask, and what does not fails batch-invariance.
    wanted = subject.spec.pooling or (subject.declared.pooling if subject.declared else "")
    if wanted and subject.facts.pooling:
        compared += 1
        if wanted != subject.facts.pooling:
            problems.append(f"it pools by {subject.facts.pooling!r}, {wanted!r} is declared")
    if subject.facts.pooling == "lasttoken" and (silent := _silent_role(subject)):
        compared += 1
        (text,) = subject.model.prepare(TEXTS[:1], silent)
        if text.length <= text.own_tokens:
            problems.append("it pools the last token, but the tokenizer puts no end-of-text token there")
    if not compared:
        return skipped(UNKNOWN)
    return judged(
        problems,
        "usual cause: modules.json or 1_Pooling/config.json is missing or edited, so that defaults hold; a tokenizer "
        "that was saved or converted without its post-processor\nfix: take these files from the original checkpoint",
        measured=f"{len(problems)} of {compared} differ",
        limit="= 0",
        value=len(problems),
    )


def _silent_role(subject: Subject) -> Role | None:
    """A role without a prompt, whose tokens are then the text's own and special ones alone."""
    return next((role for role in reversed(ROLES) if not subject.facts.prompts.get(role)), None)


def _prompts(subject: Subject) -> Outcome:
    known = subject.declared
    if known is None or None in known.prompts.values():
        return skipped("the catalogue does not know this model's prompts")
    problems = []
    for role, template in known.prompts.items():
        found = subject.facts.prompts.get(role, "")
        pattern = re.escape(template or "").replace(re.escape(TASK), ".+")
        if not re.fullmatch(pattern, found, re.DOTALL):
            problems.append(f"before a {role} stands {found!r}, it should be {template!r}")
        fields = known.request_fields[role]
        if subject.served and any(subject.spec.request_fields[role].get(key) != value for key, value in fields.items()):
            problems.append(f"a {role}'s request should have {fields}")
    return judged(
        problems,
        "usual cause: the prompt was forgotten, or has another space or line break than in training\n"
        "fix: set query_prompt and document_prompt of the model's definition to exactly these texts; where the "
        'difference is meant: skip_probes = ["prompts"]',
        measured=f"{len(problems)} differ",
        limit="= 0",
        value=len(problems),
    )


def _roles(subject: Subject) -> Outcome:
    prompts = {role: (subject.facts.prompts.get(role, ""), subject.spec.request_fields[role]) for role in ROLES}
    if prompts["query"] == prompts["document"]:
        return skipped("it has the same prompt for queries and documents, or none")
    queries, documents = (subject.alone(TEXTS[:6], role) for role in ROLES)
    apart = distances(queries, documents)
    nearest, limit = float(apart.min()), subject.tolerance
    return judged(
        [] if nearest > limit else [f"{TEXTS[int(apart.argmin())]!r} has the same vector as a query and as a document"],
        "usual cause: the prompt is dropped on the way to the model\n"
        "fix: look at what the server or function does with the text before the query",
        measured=f"{nearest:.1e} apart",
        limit=f"> {limit:g}",
        value=nearest,
        values=dict(zip(TEXTS[:6], apart.tolist(), strict=True)),
    )


PROBES = (
    Probe(
        "declaration", "Does it pool as declared, with an end-of-text token where the last one is pooled?", _declaration
    ),
    Probe("prompts", "Are its prompts those that the catalogue has for this model?", _prompts),
    Probe("roles", "Do queries and documents get different vectors, where prompts differ?", _roles),
)
