"""Options whose value is several names."""

from __future__ import annotations

import pytest

from pytest_embedbench.session.options import split_names


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (["minilm, bm25", " e5 "], ("minilm", "bm25", "e5")),
        (["", ",", "a,,b"], ("a", "b")),
        (["http://h/v1?tags=a,b#model,minilm"], ("http://h/v1?tags=a,b#model", "minilm")),
        (
            ["minilm, https://h/v1#org/m@int8,http://g/v1?x=1,2#n"],
            ("minilm", "https://h/v1#org/m@int8", "http://g/v1?x=1,2#n"),
        ),
        (["http://h/v1,minilm"], ("http://h/v1", "minilm")),
        (["http://h/v1,http://g/v1#m"], ("http://h/v1", "http://g/v1#m")),
        (["b1 c4,b2 r0.5"], ("b1 c4", "b2 r0.5")),
    ],
)
def test_commas_between_names_and_in_addresses(values: list[str], names: tuple[str, ...]) -> None:
    assert split_names(values) == names
