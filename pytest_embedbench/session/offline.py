"""``--embed-offline``: a session that opens no connection, and checks at its start that it needs none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_embedbench.errors import ConfigurationError
from pytest_embedbench.models.source import model_file_patterns
from pytest_embedbench.remote import hub
from pytest_embedbench.remote.hub_compat import OFFLINE_CONSTANT, loaded_constants

if TYPE_CHECKING:
    import pytest

    from pytest_embedbench.models.spec import NamedModel
    from pytest_embedbench.suite.plan import Suite

OPTION = "--embed-offline"


def stay_offline(patch: pytest.MonkeyPatch) -> None:
    """Keep this process and its children from the Hub, until the patch is undone."""
    patch.setenv(OFFLINE_CONSTANT, "1")
    # huggingface_hub reads the variable only once, when it is imported.
    if constants := loaded_constants():
        patch.setattr(constants, OFFLINE_CONSTANT, True)


def check_offline(suite: Suite) -> None:
    """Refuse models that need a network: those behind an endpoint, and those of the Hub that are not in its cache.

    Raises:
        ConfigurationError: a model of the suite, of a slowdown check or of a conformance probe needs a network.
    """
    tested = (pair.model for pair in suite.pairs)
    # Only slowdown checks name another model.
    baselines = (getattr(check, "against", None) for pair in suite.pairs for check in pair.checks)
    references = (probed_model.reference for probed_model in suite.examined)
    for model in dict.fromkeys(model.base for model in (*tested, *baselines, *references) if model is not None):
        _check_model(model)


def _check_model(model: NamedModel) -> None:
    spec = model.spec
    if spec.kind == "endpoint":
        raise ConfigurationError(OPTION, f"model {model.alias!r} is behind {spec.url}", "test it without this option")
    if spec.kind != "sentence-transformers" or model.folder() is not None:
        return
    try:
        hub.find_cached(spec.hub, kind="model", revision=spec.revision, patterns=model_file_patterns(spec))
    except hub.HubError as error:
        problem = f"model {model.alias!r}: {error.problem}"
        raise ConfigurationError(OPTION, problem, f"{error.fix}, or give a folder") from None
