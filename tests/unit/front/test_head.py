"""The head of a request is collected within its limits, and each byte is read once."""

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreman.front.head import HEAD_BYTES, REQUEST_LINE_BYTES, HeadBuffer
from foreman.refusals import HeadTooLarge, MalformedRequest, TargetTooLong

HEAD = b"GET /a?b HTTP/1.1\r\nHost: x\r\nA: 1\r\n\r\n"


def collected(*pieces: bytes) -> HeadBuffer:
    head = HeadBuffer()
    for piece in pieces:
        head.feed(piece)
    return head


@given(cuts=st.lists(st.integers(1, len(HEAD) - 1)), follows=st.binary(max_size=20))
def test_a_head_is_whole_with_its_last_byte_however_it_is_cut(
    cuts: list[int], follows: bytes
) -> None:
    edges = [0, *sorted(set(cuts)), len(HEAD)]
    pieces = [HEAD[start:end] for start, end in pairwise(edges)]
    head = HeadBuffer()

    results = [head.feed(piece) for piece in [*pieces[:-1], pieces[-1] + follows]]

    assert results == [False] * (len(pieces) - 1) + [True]
    assert bytes(head) == HEAD + follows


@given(st.lists(st.sampled_from([b"\r\n", b"\r", b"\n", b"A: 1", b" "]), max_size=12))
def test_a_bare_lf_is_found_wherever_it_stands(parts: list[bytes]) -> None:
    text = b"GET / HTTP/1.1\r\n" + b"".join(parts)
    end = text.find(b"\r\n\r\n")
    is_bare = b"\n" in (text if end < 0 else text[:end]).replace(b"\r\n", b"")
    head = HeadBuffer()
    refused = False

    for byte in text:
        try:
            if head.feed(bytes([byte])):
                break
        except MalformedRequest:
            refused = True
            break

    assert refused == is_bare


def test_empty_lines_before_the_head_are_skipped_and_begin_nothing() -> None:
    head = collected(b"\r\n", b"\r")
    assert not head.has_begun

    head.feed(b"\nG")

    assert head.has_begun
    assert bytes(head) == b"G"


def test_a_request_line_may_have_its_limit_and_no_more() -> None:
    line = b"GET /" + b"x" * (REQUEST_LINE_BYTES - 5)

    assert not HeadBuffer().feed(line + b"\r\n")
    assert not collected(line).feed(b"\r")
    with pytest.raises(TargetTooLong):
        HeadBuffer().feed(line + b"x\r\n")
    with pytest.raises(TargetTooLong):
        collected(line).feed(b"xx")


def test_a_head_has_a_limit_in_all() -> None:
    head = collected(b"GET / HTTP/1.1\r\n")

    with pytest.raises(HeadTooLarge):
        head.feed(b"A: " + b"x" * HEAD_BYTES)


def test_the_request_line_is_known_as_soon_as_it_can_be_read() -> None:
    assert collected(b"GET").request_line() is None
    assert collected(b"POST /jo").request_line() == ("POST", "/jo")
    assert collected(b"GET /a\xc3 HTTP/1.1\r\n").request_line() == ("GET", "/a\xc3")
    assert collected(b"\x16\x03\x01").request_line() is None


def test_the_cost_of_a_head_grows_as_its_size() -> None:
    def cpu_s(size: int) -> float:
        pieces = [b"GET / HTTP/1.1\r\nA: ", *[b"x" * 16] * (size // 16)]
        best = float("inf")
        for _ in range(3):
            began_at = time.process_time()
            collected(*pieces)
            best = min(best, time.process_time() - began_at)
        return best

    assert cpu_s(800_000) < 3 * cpu_s(400_000)
