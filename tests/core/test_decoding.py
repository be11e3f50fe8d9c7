"""Whatever is wrong with JSON, TOML or YAML, the error is one, and comes at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_embedbench.core.decoding import DecodingError, decode_json, decode_loose_json, decode_toml, decode_yaml

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(VALUES)
def test_json_reads_as_it_was_written(value: Any) -> None:
    assert decode_json(msgspec.json.encode(value), Any) == value
    assert decode_loose_json(msgspec.json.encode(value)) == value


@given(st.binary(max_size=60) | st.text('[]{}":,0123456789eE+-.nulltruefalse\\ \n', max_size=60).map(str.encode))
def test_any_bytes_give_a_value_or_the_one_error(content: bytes) -> None:
    decoders: tuple[Callable[[], object], ...] = (lambda: decode_json(content, Any), lambda: decode_loose_json(content))
    for decode in decoders:
        try:
            decode()
        except DecodingError as error:
            assert str(error)
            assert "\n" not in str(error)


@given(st.text('[]{}":,0123456789-.=&*!#%@`|>? \n\tabe', max_size=60))
def test_any_text_of_toml_and_yaml_gives_a_value_or_the_one_error(text: str) -> None:
    decoders: tuple[Callable[[], object], ...] = (lambda: decode_toml(text, Any), lambda: decode_yaml(text, Any))
    for decode in decoders:
        try:
            decode()
        except DecodingError as error:
            assert str(error)
            assert "\n" not in str(error)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "[" * 100_000 + "]" * 100_000])
def test_deep_nesting_is_said(text: str) -> None:
    decoders: tuple[Callable[[], object], ...] = (lambda: decode_json(text, Any), lambda: decode_loose_json(text))
    for decode in decoders:
        with pytest.raises(DecodingError, match="nested too deeply"):
            decode()
    with pytest.raises(DecodingError, match="nested too deeply"):
        decode_toml(f"a = {'[' * 5000}", Any)
    with pytest.raises(DecodingError, match="nest"):
        decode_yaml(f"a: {'[' * 5000}", Any)


def test_aliases_that_stand_for_billions_of_values_are_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    with pytest.raises(DecodingError, match="more than 100,000 values, with aliases replaced"):
        decode_yaml("\n".join(lines), Any)
    assert decode_yaml("a: &a [1, 2]\nb: *a", dict[str, list[int]]) == {"a": [1, 2], "b": [1, 2]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: &x [*x]", "a value holds itself"),
        ("a: 2024-13-45", "month must be in 1..12"),
        ("a: !!python/object:os.system x", "could not determine a constructor"),
        ("a: \x00", "control characters are not allowed"),
    ],
)
def test_what_yaml_may_not_hold(text: str, message: str) -> None:
    with pytest.raises(DecodingError, match=message):
        decode_yaml(text, Any)


def test_a_message_has_one_line_of_bounded_length() -> None:
    with pytest.raises(DecodingError) as caught:
        decode_json(msgspec.json.encode({"a" * 10_000: 1}), dict[str, str])
    assert len(str(caught.value)) <= 300
