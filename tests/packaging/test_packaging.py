"""The wheel and the source distribution, the requirements and their pins, the entry points."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import pytest_embedbench

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "pytest_embedbench"
IGNORED = {"__pycache__", ".DS_Store"}

pytestmark = pytest.mark.skipif(not (ROOT / "pyproject.toml").is_file(), reason="needs the checkout")


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return table


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Build both distributions with hatchling, as ``python -m build`` does."""
    backend = pytest.importorskip("hatchling.build", reason="needs the extra dev")
    folder = tmp_path_factory.mktemp("dist")
    (folder / "editable").mkdir()
    (folder / "again").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        distributions = {
            "wheel": folder / backend.build_wheel(str(folder)),
            "sdist": folder / backend.build_sdist(str(folder)),
            "editable": folder / "editable" / backend.build_editable(str(folder / "editable")),
        }
        sources = folder / "sources"
        shutil.unpack_archive(distributions["sdist"], sources, filter="data")
        patch.chdir(next(sources.iterdir()))
        again = folder / "again"
        return distributions | {"wheel from sdist": again / backend.build_wheel(str(again))}


@pytest.fixture(scope="module")
def in_wheel(built: dict[str, Path]) -> set[str]:
    with zipfile.ZipFile(built["wheel"]) as wheel:
        return set(wheel.namelist())


@pytest.fixture(scope="module")
def in_sdist(built: dict[str, Path]) -> set[str]:
    with tarfile.open(built["sdist"]) as sdist:
        return {name.partition("/")[2] for name in sdist.getnames()}


def test_wheel_holds_every_file_of_the_package_and_nothing_else(in_wheel: set[str]) -> None:
    expected = {
        path.relative_to(ROOT).as_posix()
        for path in PACKAGE.rglob("*")
        if path.is_file() and not IGNORED & set(path.parts)
    }
    expected |= {
        f"pytest_embedbench/{path.relative_to(ROOT).as_posix()}"
        for path in (ROOT / "templates").rglob("*")
        if path.is_file()
    }
    assert {name for name in in_wheel if ".dist-info/" not in name} == expected


@pytest.mark.parametrize(
    "name",
    [
        "py.typed",
        "catalog/models.toml",
        "catalog/datasets.toml",
        "datasets/builtin/corpus.jsonl",
        "datasets/builtin/queries.jsonl",
        "datasets/builtin/qrels/test.tsv",
        "suite/default/embedbench.toml",
        "templates/model_card.md.j2",
    ],
)
def test_wheel_holds_the_data_that_a_run_needs(in_wheel: set[str], name: str) -> None:
    assert f"pytest_embedbench/{name}" in in_wheel


def test_wheel_carries_licence_and_version(in_wheel: set[str]) -> None:
    info = f"pytest_embedbench-{pytest_embedbench.__version__}.dist-info"
    assert {f"{info}/METADATA", f"{info}/entry_points.txt", f"{info}/licenses/LICENSE"} <= in_wheel


def test_sdist_can_be_built_and_tested(in_sdist: set[str], in_wheel: set[str]) -> None:
    sources = {name.replace("pytest_embedbench/templates/", "templates/") for name in in_wheel}
    assert {name for name in sources if ".dist-info/" not in name} <= in_sdist
    assert {
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "CHANGELOG.md",
        "Makefile",
        "constraints.txt",
    } <= in_sdist
    assert "tests/packaging/test_packaging.py" in in_sdist


def test_sdist_holds_nothing_that_was_made_here(in_sdist: set[str]) -> None:
    made = re.compile(r"(^|/)(\.venv|__pycache__|\.[a-z]+_cache|_build|dist|embedbench-out)(/|$)")
    assert [name for name in in_sdist if made.search(name)] == []


def test_sdist_has_the_templates_at_the_top(in_sdist: set[str]) -> None:
    assert {"templates/README.md", "templates/model_card.md.j2", "templates/leaderboard/index.html.j2"} <= in_sdist
    assert not any(name.startswith("pytest_embedbench/templates") for name in in_sdist)


def test_wheel_built_from_the_sdist_is_the_same(built: dict[str, Path], in_wheel: set[str]) -> None:
    with zipfile.ZipFile(built["wheel from sdist"]) as wheel:
        assert set(wheel.namelist()) == in_wheel


def _templates_of(search_path: Path) -> Path:
    """Return where a new interpreter, which imports the package from ``search_path``, finds the templates."""
    program = "import sys; sys.path.insert(0, sys.argv[1]); "
    program += "from pytest_embedbench.reports.templates import templates_folder; print(templates_folder())"
    command = [sys.executable, "-c", program, str(search_path)]
    return Path(subprocess.run(command, capture_output=True, text=True, check=True, cwd=search_path).stdout.strip())


def test_installed_wheel_finds_its_own_templates(built: dict[str, Path], tmp_path: Path) -> None:
    shutil.unpack_archive(built["wheel"], tmp_path, "zip")
    assert _templates_of(tmp_path) == tmp_path / "pytest_embedbench" / "templates"


def test_editable_install_finds_the_templates_of_the_checkout(built: dict[str, Path]) -> None:
    with zipfile.ZipFile(built["editable"]) as wheel:
        (path_file,) = [name for name in wheel.namelist() if name.endswith(".pth")]
        folder = Path(wheel.read(path_file).decode().strip())
        # A copy inside the wheel would go stale while the templates are edited.
        assert not [name for name in wheel.namelist() if name.endswith(".j2")]
    assert _templates_of(folder) == ROOT / "templates"


def test_entry_points_lead_somewhere(project: dict[str, Any]) -> None:
    assert project["entry-points"]["pytest11"] == {"embedbench": "pytest_embedbench.plugin"}
    assert set(project["scripts"]) == {"embedbench", "pytest-embedbench"}
    for script in project["scripts"].values():
        module, _, function = script.partition(":")
        assert callable(getattr(import_module(module), function))


def test_python_m_is_the_command_too() -> None:
    command = [sys.executable, "-m", "pytest_embedbench", "--version"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert pytest_embedbench.__version__ in shown


def _name(requirement: str) -> str:
    match = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert match, requirement
    return re.sub(r"[-_.]+", "-", match[0]).lower()


def _pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    for pin in pins:
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", pin), f"not a plain pin of a release: {pin}"
    return {_name(pin): pin.partition("==")[2] for pin in pins}


def test_constraints_pin_every_requirement(project: dict[str, Any]) -> None:
    # These two need other versions than the tests run with, and exclude each other.
    extras = (wanted for name, wanted in project["optional-dependencies"].items() if name not in {"onnx", "openvino"})
    wanted = {_name(text) for text in [*project["dependencies"], *(text for extra in extras for text in extra)]}
    assert wanted - set(_pins()) == set()


def test_every_extra_that_an_error_names_exists(project: dict[str, Any]) -> None:
    sources = [path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py")]
    named = {extra for text in sources for extra in re.findall(r"pytest-embedbench\[([a-z0-9]+)\]", text)}
    catalogue = tomllib.loads((PACKAGE / "catalog" / "models.toml").read_text(encoding="utf-8"))
    named |= {entry["package_extra"] for entry in catalogue.values() if "package_extra" in entry}
    assert named <= set(project["optional-dependencies"])
    assert "minilm" in named


def test_readme_and_docs_have_no_dead_links_to_files() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
    links = [
        (page.name, target)
        for page in pages
        for target in re.findall(r"\]\(([^)#\s:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
        if not (page.parent / target).exists()
    ]
    assert links == []
