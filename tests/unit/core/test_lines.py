"""NDJSON is cut into the same lines, however its bytes arrive."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from foreman.core.lines import Line, Lines

LIMIT = 10
BODIES = st.binary(max_size=200).map(lambda body: body.replace(b"\x00", b"\n"))
CUTS = st.lists(st.integers(0, 200), max_size=8)


def cut(body: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place for place in places if place < len(body)), len(body)]
    return [body[start:stop] for start, stop in pairwise(edges)]


def lines_of(pieces: list[bytes]) -> list[Line]:
    lines = Lines(LIMIT)
    found = [line for piece in pieces for line in lines.feed(piece)]
    return found + list(lines.finish())


@given(body=BODIES, places=CUTS)
def test_how_the_bytes_arrive_does_not_matter(body: bytes, places: list[int]) -> None:
    assert lines_of(cut(body, places)) == lines_of([body])


@given(body=BODIES)
def test_the_lines_are_those_of_the_body(body: bytes) -> None:
    expected = [
        Line(index, text if len(text) <= LIMIT else None)
        for index, text in enumerate(body.split(b"\n"))
        if text.strip() or len(text) > LIMIT
    ]

    assert lines_of([body]) == expected


def test_a_line_that_is_too_long_is_told_and_the_next_one_is_whole() -> None:
    pieces = [b"x" * 8, b"x" * 8, b"x" * 1000, b"\nshort\n"]

    assert lines_of(pieces) == [Line(0, None), Line(1, b"short")]


def test_a_line_that_is_too_long_takes_no_memory_while_it_comes() -> None:
    lines = Lines(LIMIT)

    for _ in range(1000):
        assert list(lines.feed(b"x" * 1000)) == []

    assert list(lines.finish()) == [Line(0, None)]


def test_a_line_of_just_the_limit_is_not_too_long() -> None:
    assert lines_of([b"x" * LIMIT]) == [Line(0, b"x" * LIMIT)]
