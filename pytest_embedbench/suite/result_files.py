"""Two models or datasets of a suite whose results would have the same file: found when the suite is read."""

from __future__ import annotations

from collections.abc import Iterable

from pytest_embedbench.catalog.result_names import result_name
from pytest_embedbench.core.files import file_key, file_name
from pytest_embedbench.datasets.spec import NamedDataset
from pytest_embedbench.errors import ConfigurationError
from pytest_embedbench.models.spec import ModelSpec, NamedModel
from pytest_embedbench.suite.kinds import LOCAL

MAX_DIFFERENCES = 3
"""Keys in which two definitions differ that a message shows."""


def check_result_files(
    models: Iterable[NamedModel], datasets: Iterable[NamedDataset], where: str, define_at: str
) -> None:
    """Refuse models and datasets whose results would overwrite each other.

    Models may share a name if their revisions or the digests of their files tell them apart: each has a folder of its
    own then. Names count as the same if a file system may take them for the same.

    Args:
        models: the models to test.
        datasets: the datasets to test on.
        where: the suite file.
        define_at: the beginning of the definitions' tables in it.

    Raises:
        ConfigurationError: two of them would have the same file; the message names both, and the fix.
    """
    by_key: dict[str, list[NamedModel]] = {}
    for model in models:
        for other in by_key.setdefault(file_key(model.name), []):
            _check_models(other, model, where, define_at)
        by_key[file_key(model.name)].append(model)
    by_file: dict[str, NamedDataset] = {}
    for dataset in datasets:
        name = _result_name(dataset)
        other_dataset = by_file.setdefault(file_key(name), dataset)
        if other_dataset is not dataset:
            _refuse_datasets(other_dataset, dataset, where, define_at)


def _check_models(one: NamedModel, two: NamedModel, where: str, define_at: str) -> None:
    both = f"models {one.alias!r} and {two.alias!r}"
    fix = f'give one of them a name of its own: name = "{two.name}-2" in [{define_at}models.{two.base.alias}]'
    if one.name != two.name:
        problem = f"{both} have one folder for their results: {one.name} and {two.name} are {file_name(two.name)} both"
        raise ConfigurationError(where, problem, fix)
    if _place(one.spec) != _place(two.spec):
        return
    first, second = one.spec.deciding(), two.spec.deciding()
    if differing := [key for key in dict.fromkeys([*first, *second]) if first.get(key) != second.get(key)]:
        values = [f"{key} {one.spec.shown(key)} and {two.spec.shown(key)}" for key in differing]
        shown = "; ".join(values[:MAX_DIFFERENCES])
        problem = f"{both} are called {one.name}, so their results would overwrite each other; they differ in {shown}"
        raise ConfigurationError(where, problem, fix)


def _place(spec: ModelSpec) -> tuple[str, ...]:
    """Return what a model's folder of results is named by, beside the model's name, as far as it is known yet."""
    if spec.revision:
        return (spec.revision,)
    # Files have a digest, repositories of the Hub a commit. All other models have no revision.
    return ("files of", spec.path, spec.package, spec.package_folder, spec.hub) if spec.kind in LOCAL else ()


def _result_name(dataset: NamedDataset) -> str:
    return result_name(dataset.alias, dataset.spec.split, dataset.spec.mteb_task)


def _refuse_datasets(one: NamedDataset, two: NamedDataset, where: str, define_at: str) -> None:
    names = _result_name(one), _result_name(two)
    file = f"{file_name(names[1])}.json"
    problem = f"datasets {one.alias!r} and {two.alias!r} have one file for their results, {file}"
    at = f"[{define_at}datasets.NAME]"
    fix = f"define one of them under another name, in {at}"
    if two.alias != names[1] or one.alias != names[0]:
        problem += f", since both are MTEB's {two.spec.mteb_task or one.spec.mteb_task}"
        fix = f"test on one of them, or define the other one without mteb_task in {at}"
    raise ConfigurationError(where, problem, fix)
