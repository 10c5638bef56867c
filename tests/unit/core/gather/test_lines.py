"""Lines and events, wherever the bytes are cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreman.core.gather.lines import Cutter, Events, Lines, Piece
from foreman.errors import AnswerTooLarge
from tests.unit.core.gather.streams import in_pieces

LIMIT_BYTES = 1000
STREAM = (
    b": a comment\n\nevent: first\ndata: {}\n\ndata:bare\r\n\r\n"
    b"data: one\ndata: two\n\nid: 7\nretry: 9\n\nevent: none\n\n"
    b"data: \xf0\x9f\xa6\x99\n\ndata: last"
)


def pieces(cutter: Cutter, chunks: list[bytes]) -> list[Piece]:
    found = [piece for chunk in chunks for piece in cutter.split(chunk)]
    return found + list(cutter.rest())


def test_events_have_a_name_and_joined_data_and_comments_are_none() -> None:
    assert pieces(Events(LIMIT_BYTES), [STREAM]) == [
        ("first", b"{}"),
        ("", b"bare"),
        ("", b"one\ntwo"),
        ("", "🦙".encode()),
        ("", b"last"),
    ]


@given(cuts=st.lists(st.integers(0, len(STREAM))))
def test_events_do_not_depend_on_the_cuts(cuts: list[int]) -> None:
    cut = list(in_pieces(STREAM, cuts))

    assert pieces(Events(LIMIT_BYTES), cut) == pieces(Events(LIMIT_BYTES), [STREAM])


@given(body=st.binary(max_size=200), cuts=st.lists(st.integers(0, 200)))
def test_lines_do_not_depend_on_the_cuts_and_lose_nothing(body: bytes, cuts: list[int]) -> None:
    cut = pieces(Lines(LIMIT_BYTES), list(in_pieces(body, cuts)))

    assert cut == pieces(Lines(LIMIT_BYTES), [body])
    lines = body.split(b"\n")
    kept = lines if lines[-1] else lines[:-1]
    assert [piece.data for piece in cut] == [line.removesuffix(b"\r") for line in kept]


@pytest.mark.parametrize("ending", [b"", b"\n"])
@pytest.mark.parametrize("cutter", [Lines(LIMIT_BYTES), Events(LIMIT_BYTES)])
def test_a_line_over_the_limit_is_refused_be_it_complete_or_not(
    cutter: Cutter, ending: bytes
) -> None:
    with pytest.raises(AnswerTooLarge):
        list(cutter.split(b"x" * (LIMIT_BYTES + 1) + ending))


def test_an_event_of_many_lines_is_held_to_the_limit_too() -> None:
    with pytest.raises(AnswerTooLarge):
        list(Events(LIMIT_BYTES).split(b"data: xxxxxxxxx\n" * LIMIT_BYTES))
