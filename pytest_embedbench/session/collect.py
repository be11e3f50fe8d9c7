"""Suite files as pytest nodes (file, model, dataset, check), and the parametrization of Python tests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from typing import TYPE_CHECKING

import pytest

from pytest_embedbench.errors import ConfigurationError
from pytest_embedbench.session.items import CheckItem, ConformanceItem
from pytest_embedbench.session.state import KEY

if TYPE_CHECKING:
    from pytest_embedbench.suite.pairs import Pair
    from pytest_embedbench.suite.plan import Suite
    from pytest_embedbench.suite.probed_models import ProbedModel


class SuiteFile(pytest.File):
    """A suite file; holds a node for each model."""

    def collect(self) -> Iterator[pytest.Collector]:
        session = self.config.stash[KEY]
        # Asked only now, since pytest reads the conftest.py that may ignore the file when it collects its folder.
        if self.path == session.added and self.ihook.pytest_ignore_collect(
            collection_path=self.path, config=self.config
        ):
            return
        try:
            suite = session.suites.read(self.path)
            if suite.regression:
                from pytest_embedbench.session.baselines import baseline_source, read_baseline

                # Already here, so that a missing baseline is reported before any model is loaded.
                read_baseline(session, baseline_source(session, suite))
        except ConfigurationError as error:
            # An error in a suite ends the session (exit code 4) rather than counting as one failed file.
            session.broken = error
            return
        examined = {probed_model.model.alias: probed_model for probed_model in suite.examined}
        # The pairs of a model follow each other, as groupby needs: ``suite.plan`` loops over models first.
        for alias, pairs in groupby(suite.pairs, key=lambda pair: pair.model.alias):
            yield ModelNode.build(self, alias, suite, list(pairs), examined.get(alias))


class ModelNode(pytest.Collector):
    """A model of the suite; holds its conformance items and a node for each dataset."""

    suite: Suite
    pairs: list[Pair]
    probed_model: ProbedModel | None

    @classmethod
    def build(
        cls, parent: pytest.Collector, name: str, suite: Suite, pairs: list[Pair], probed_model: ProbedModel | None
    ) -> ModelNode:
        node: ModelNode = cls.from_parent(parent, name=name)
        node.suite, node.pairs, node.probed_model = suite, pairs, probed_model
        return node

    def collect(self) -> Iterator[pytest.Item | pytest.Collector]:
        if self.probed_model:
            for probe in self.probed_model.probes:
                yield ConformanceItem.build(self, self.suite, self.probed_model, probe)
        for pair in self.pairs:
            yield DatasetNode.build(self, pair.dataset.alias, self.suite, pair)


class DatasetNode(pytest.Collector):
    """A dataset under its model; holds an item for each check."""

    suite: Suite
    pair: Pair

    @classmethod
    def build(cls, parent: pytest.Collector, name: str, suite: Suite, pair: Pair) -> DatasetNode:
        node: DatasetNode = cls.from_parent(parent, name=name)
        node.suite, node.pair = suite, pair
        return node

    def collect(self) -> Iterator[pytest.Item]:
        seen: Counter[str] = Counter()
        for check in self.pair.checks:
            name = check.name
            seen[name] += 1
            # Two limits on one subject have the same name, and a node id must be unique.
            if seen[name] > 1:
                name = f"{name[:-1]}#{seen[name]}]"
            yield CheckItem.build(self, name, self.suite, self.pair, check)


def parametrize(metafunc: pytest.Metafunc) -> None:
    """Run a Python test once for each pair that its marker, the command line or the suite names."""
    session = metafunc.config.stash[KEY]
    marker = metafunc.definition.get_closest_marker("embedbench")
    try:
        suite = session.suites.marked(metafunc.definition.nodeid, marker)
    except ConfigurationError as error:
        session.broken = session.broken or error
        metafunc.parametrize("embed_pair", [], indirect=True)
        return
    metafunc.parametrize(
        "embed_pair",
        # A test without the marker gets it here, so that -m embedbench selects the test too.
        [pytest.param((suite, pair), marks=() if marker else pytest.mark.embedbench) for pair in suite.pairs],
        ids=[f"{pair.model.alias}-{pair.dataset.alias}" for pair in suite.pairs],
        indirect=True,
        # pytest groups tests by parameters of this scope: a pair's tests run together, with its model loaded once.
        scope="session",
    )
