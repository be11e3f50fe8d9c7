"""Pooling, prompts and roles of the model, against those declared for it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pytest_embedbench.conformance.outcome import Probe, ProbeOutcome, judged, skipped
from pytest_embedbench.conformance.samples import PROBE_TEXTS
from pytest_embedbench.conformance.subject import Subject, distances
from pytest_embedbench.datasets.types import ROLES
from pytest_embedbench.models.prompts import prompt_parts

if TYPE_CHECKING:
    from pytest_embedbench.datasets.types import Role
    from pytest_embedbench.models.spec import ModelSpec

ROLE_TEXTS = PROBE_TEXTS[:6]
"""Texts that are encoded in both roles."""


def _declaration(subject: Subject) -> ProbeOutcome:
    if subject.served:
        return skipped("a server does not say how it pools")
    problems, compared = [], 0
    # The padding side is not compared: pooling in this package follows the mask, so that either side is right. Where
    # pooling does not follow the mask, the probe batch-invariance fails.
    wanted = subject.spec.pooling or (subject.declared.pooling if subject.declared else "")
    if wanted and subject.facts.pooling:
        compared += 1
        if wanted != subject.facts.pooling:
            problems.append(f"it pools by {subject.facts.pooling!r}, {wanted!r} is declared")
    if subject.facts.pooling == "lasttoken" and (role := _role_without_prompt(subject)):
        compared += 1
        (text,) = subject.model.prepare(PROBE_TEXTS[:1], role)
        # Special tokens make a text longer than its own tokens.
        if text.length <= text.own_tokens:
            problems.append("it pools the last token, but the tokenizer puts no end-of-text token there")
    if not compared:
        return skipped("neither its definition nor the catalogue says what it should be")
    return judged(
        problems,
        cause="modules.json or 1_Pooling/config.json is missing or edited, so that defaults hold; a tokenizer "
        "that was saved or converted without its post-processor",
        fix="take these files from the original checkpoint",
        measured=f"{len(problems)} of {compared} differ",
        limit="= 0",
        value=len(problems),
    )


def _role_without_prompt(subject: Subject) -> Role | None:
    """Return a role without a prompt, whose texts have only special tokens beside their own; None if there is none."""
    # Documents first: most models with prompts have one for queries only.
    return next((role for role in reversed(ROLES) if not subject.facts.prompts.get(role)), None)


def _prompts(subject: Subject) -> ProbeOutcome:
    known = subject.declared
    if known is None or None in known.prompts.values():
        return skipped("the catalogue does not know this model's prompts")
    told = _role_fields(subject.spec) if subject.served else ()
    problems = [problem for role in ROLES for problem in _prompt_problems(subject, known, role, told)]
    fix = (
        f"leave query_prompt and document_prompt out, since the server puts its own by {_listed(told)}"
        if told
        else "set query_prompt and document_prompt of the model's definition to exactly these texts; where the server "
        "takes the role in a field of the request, query_parameters and document_parameters"
    )
    return judged(
        problems,
        cause="the prompt was forgotten, or has another space or line break than in training",
        fix=f'{fix}; where the difference is meant: skip_probes = ["prompts"]',
        measured=f"{len(problems)} differ" + (f", role in {_listed(told)}" if told else ""),
        limit="= 0",
        value=len(problems),
    )


def _prompt_problems(subject: Subject, known: ModelSpec, role: Role, told: Sequence[str]) -> list[str]:
    """Return what is wrong with a role's prompt.

    Args:
        subject: the model.
        known: the catalogue's entry for it.
        role: the role.
        told: fields of a request that tell the server the role, so that it puts the prompt itself.
    """
    prompt, template = subject.facts.prompts.get(role, ""), known.prompts[role] or ""
    fields, own = known.request_fields[role], subject.spec.request_fields[role]
    problems = []
    parts = prompt_parts(template, role)
    # Where the template says {task}, any instruction may stand.
    pattern = "".join(re.escape(part) if isinstance(part, str) else ".+" for part in parts)
    if told and prompt and template:
        problems.append(f"before a {role} stands {prompt!r}, and the server puts its own prompt by {_listed(told)}")
    elif not told and not re.fullmatch(pattern, prompt, re.DOTALL):
        problems.append(f"before a {role} stands {prompt!r}, it should be {template!r}")
    # Another server of the same model may take the role in a field of its own.
    compared = subject.served and (not told or not fields.keys().isdisjoint(told))
    if compared and any(own.get(key) != value for key, value in fields.items()):
        problems.append(f"a {role}'s request should have {fields}")
    return problems


def _role_fields(spec: ModelSpec) -> tuple[str, ...]:
    """Return the fields of a request by which the server tells queries from documents, e.g. ``input_type``."""
    query, document = spec.query_parameters, spec.document_parameters
    return tuple(key for key in {**query, **document} if query.get(key) != document.get(key))


def _listed(names: Sequence[str]) -> str:
    return " and ".join(names)


def _roles(subject: Subject) -> ProbeOutcome:
    prompts = {role: (subject.facts.prompts.get(role, ""), subject.spec.request_fields[role]) for role in ROLES}
    if prompts["query"] == prompts["document"]:
        return skipped("it has the same prompt for queries and documents, or none")
    known = subject.declared
    if known and _same_by_role(known) and not any(prompt for prompt, _ in prompts.values()):
        return skipped("it has no prompts by the catalogue, whatever role its server is told")
    queries, documents = (subject.alone(ROLE_TEXTS, role) for role in ROLES)
    apart = distances(queries, documents)
    nearest, limit = float(apart.min()), subject.tolerance
    text = ROLE_TEXTS[int(apart.argmin())]
    return judged(
        [] if nearest > limit else [f"{text!r} has the same vector as a query and as a document"],
        cause="the prompt is dropped on the way to the model, or the server does not know the field with the role",
        fix="look at what the server or function does with the text before the query, or with that field",
        measured=f"{nearest:.2g} apart",
        limit=f"> {limit:g}",
        value=nearest,
        values=dict(zip(ROLE_TEXTS, apart.tolist(), strict=True)),
    )


def _same_by_role(spec: ModelSpec) -> bool:
    """Whether queries and documents of a model are encoded alike."""
    return spec.query_prompt == spec.document_prompt and not _role_fields(spec)


def _in_catalogue(spec: ModelSpec, known: ModelSpec | None) -> bool:  # noqa: ARG001 - the signature of ``applies``
    return known is not None


def _may_differ_by_role(spec: ModelSpec, known: ModelSpec | None) -> bool:  # noqa: ARG001 - as above
    """Whether prompts may differ; a checkpoint may declare one that the definition leaves out (None)."""
    return any(prompt != "" for prompt in spec.prompts.values()) or any(spec.request_fields.values())


PROBES = (
    Probe(
        "declaration",
        "Does it pool as declared, with an end-of-text token if the last one is pooled?",
        _declaration,
    ),
    Probe("prompts", "Are its prompts those that the catalogue has for this model?", _prompts, _in_catalogue),
    Probe("roles", "Do queries and documents get different vectors if prompts differ?", _roles, _may_differ_by_role),
)
