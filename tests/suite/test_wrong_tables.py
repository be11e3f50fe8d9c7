"""A table for a list, a list for a table and a key in the wrong table are errors that show the line to write."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_embedbench.errors import ConfigurationError
from pytest_embedbench.suite.tables import decode


def error(folder: Path, text: str, name: str = "embedbench.toml") -> ConfigurationError:
    (folder / name).write_text(text, "utf-8")
    with pytest.raises(ConfigurationError) as caught:
        decode(folder / name)
    return caught.value


@pytest.mark.parametrize(
    ("text", "where", "fix"),
    [
        ("[checks]\nquality = ['ndcg@10 >= 0.3']", "checks", "write [[checks]], with double brackets"),
        ("checks = 'ndcg@10 >= 0.3'", "checks", "write [[checks]], and the keys of a check below it"),
        ("[[checks]]\nquality = 'ndcg@10 >= 0.3'", "checks[0].quality", 'write quality = ["ndcg@10 >= 0.3"]'),
        ("[[models]]\nname = 'mine'", "models", "write [models.mine], with single brackets and the name in them"),
        ("[[datasets]]\npath = 'x'", "datasets", "write [datasets.NAME], with single brackets and the name in them"),
        ("[[models.mine]]\npath = 'x'", "models.mine", "write [models.mine], with single brackets"),
        ("[models]\npath = 'x'", "models.path",
         'write [models.NAME], with a name of your own, and path = "x" below it'),
        ("[datasets]\ntickets = 'data'", "datasets.tickets",
         'write [datasets.NAME], with a name of your own, and tickets = "data" below it'),
        ("[[embedbench]]\nmodels = ['bm25']", "embedbench", "write [embedbench], with single brackets"),
        ("[[regression]]\nmax_drop = 0.1", "regression", "write [regression], with single brackets"),
        ("models = ['bm25']", "models", 'write it below [embedbench]: models = ["bm25"]'),
        ("datasets = 'builtin'", "datasets", 'write it below [embedbench]: datasets = ["builtin"]'),
        ("device = 'cpu'", "device", "write it below [embedbench]: device = ..."),
        ("[embedbench.models.mine]\npath = 'x'", "embedbench.models",
         'write models = ["mine"], and define each name below [models.mine]'),
        ("[[embedbench.checks]]\nquality = []", "embedbench.checks", "write [[checks]], at the top of the file"),
        ("[embedbench.regression]\nmax_drop = 0.1", "embedbench.regression",
         "write [regression], at the top of the file"),
    ],
)  # fmt: skip
def test_the_fix_is_the_line_to_write(tmp_path: Path, text: str, where: str, fix: str) -> None:
    caught = error(tmp_path, text)
    assert (caught.where, caught.fix) == (f"embedbench.toml: {where}", fix)


@pytest.mark.parametrize(
    ("text", "where", "fix"),
    [
        ("[tool.embedbench.checks]\nquality = []", "checks", "write [[tool.embedbench.checks]], with double brackets"),
        ("[tool.embedbench.models.mine]\npath = 'x'", "models",
         'write models = ["mine"], and define each name below [tool.embedbench.define.models.mine]'),
        ("[[tool.embedbench]]\nmodels = []", "", "write [tool.embedbench], with single brackets"),
        ("[[tool.embedbench.define.models]]\nname = 'mine'", "define.models",
         "write [tool.embedbench.define.models.mine], with single brackets and the name in them"),
    ],
)  # fmt: skip
def test_in_pyproject_tables_have_their_longer_names(tmp_path: Path, text: str, where: str, fix: str) -> None:
    caught = error(tmp_path, text, "pyproject.toml")
    assert (caught.where, caught.fix) == (f"pyproject.toml: tool.embedbench{where and '.'}{where}", fix)


def test_a_byte_order_mark_is_no_part_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "embedbench.toml").write_text("[embedbench]\nmodels = ['bm25']\n", "utf-8-sig")
    assert decode(tmp_path / "embedbench.toml").embedbench.models == ["bm25"]
