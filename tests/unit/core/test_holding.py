"""Answers that are of use only when they are whole."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreman.core.holding import held_back


class Cut(Exception):
    """The target hung up."""


def then_cut(*chunks: bytes) -> Iterator[bytes]:
    yield from chunks
    raise Cut


@given(chunks=st.lists(st.binary(max_size=40), max_size=20), limit=st.integers(1, 200))
def test_every_byte_comes_out_in_its_order(chunks: list[bytes], limit: int) -> None:
    held = held_back(iter(chunks), limit_bytes=limit, piece_bytes=16)

    assert b"".join(held) == b"".join(chunks)


def test_of_an_answer_that_is_cut_below_the_limit_nobody_sees_anything() -> None:
    held = held_back(then_cut(b"half", b"of it"), limit_bytes=100, piece_bytes=10)

    with pytest.raises(Cut):
        next(held)


def test_an_answer_above_the_limit_is_passed_on_as_it_comes() -> None:
    held = held_back(then_cut(b"a" * 8, b"b" * 8, b"c"), limit_bytes=10, piece_bytes=10)

    assert [next(held) for _ in range(3)] == [b"a" * 8 + b"b" * 2, b"b" * 6, b"c"]
    with pytest.raises(Cut):
        next(held)
