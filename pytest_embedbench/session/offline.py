"""``--embed-offline``: a session that opens no connection, and says before it starts what it would need one for."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from pytest_embedbench.errors import ConfigurationError
from pytest_embedbench.models.source import loaded
from pytest_embedbench.remote import hub

if TYPE_CHECKING:
    import pytest

    from pytest_embedbench.models.spec import NamedModel
    from pytest_embedbench.suite.plan import Suite

OPTION = "--embed-offline"


def stay_offline(patch: pytest.MonkeyPatch) -> None:
    """Keep this process and those that it starts from the Hub, until the patch is undone."""
    patch.setenv(hub.OFFLINE[0], "1")
    if constants := sys.modules.get("huggingface_hub.constants"):  # then it has read the environment already
        patch.setattr(constants, hub.OFFLINE[0], True)


def check_offline(suite: Suite) -> None:
    """Refuse models that need a network: those behind an endpoint, and those of the Hub that are not in its cache.

    Raises:
        ConfigurationError: one of them does.
    """
    models = dict.fromkeys(pair.model.base for pair in suite.pairs)
    against = (getattr(check, "against", None) for pair in suite.pairs for check in pair.checks)
    references = (examinee.reference for examinee in suite.examined)
    for model in (*models, *(other.base for other in (*against, *references) if other is not None)):
        _check(model)


def _check(model: NamedModel) -> None:
    spec = model.spec
    if spec.kind == "endpoint":
        raise ConfigurationError(OPTION, f"model {model.alias!r} is behind {spec.url}", "test it without this option")
    if spec.kind != "sentence-transformers" or model.folder() is not None:
        return
    try:
        hub.find(spec.hub, kind="model", revision=spec.revision, patterns=loaded(spec))
    except hub.HubError as error:
        problem, _, fix = str(error).partition("\n  fix: ")
        raise ConfigurationError(OPTION, f"model {model.alias!r}: {problem}", f"{fix}, or give a folder") from None
