"""Errors inside a stream that has begun, as the clients' own readers take them.

The readers here do what those of the facts do (facts on Ollama, 3): Go's client splits at newlines
and wants JSON in each piece, Python's splits where `str.splitlines` does, both take spaces before
a value. An event stream is read as both SDKs read it.
"""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreman.core.frames import Head
from foreman.core.replies import (
    KEEPALIVES,
    Framing,
    can_follow,
    error_piece,
    stream_framing,
    told_in_band,
)
from foreman.core.surface import Dialect
from tests.factories import failure

LINES, EVENTS, WHOLE = Framing.LINES, Framing.EVENTS, Framing.WHOLE
OLLAMA, OPENAI, ANTHROPIC = Dialect.OLLAMA, Dialect.OPENAI, Dialect.ANTHROPIC
LINE = b'{"message":{"content":"hi"},"done":false}\n'
EVENT = b'data: {"choices":[]}\n\n'


def pieces(body: bytes) -> list[str]:
    """The lines of NDJSON, where all readers agree on them."""
    by_go = [line.decode() for line in body.removesuffix(b"\n").split(b"\n")] if body else []
    by_python = body.decode().splitlines()
    assert by_go == by_python
    return by_python


def last_line(body: bytes) -> Any:
    return json.loads(pieces(body)[-1])


def events(body: bytes) -> list[tuple[str, str]]:
    """Name and data of every event; a comment is none, blank lines may be more than one."""
    found = []
    for block in body.decode().split("\n\n"):
        lines = [line for line in block.splitlines() if line and line[0] != ":"]
        fields = [line.partition(":")[::2] for line in lines]
        data = "\n".join(value.strip() for name, value in fields if name == "data")
        kind = "".join(value.strip() for name, value in fields if name == "event")
        if fields:
            found.append((kind, data))
    return found


def last_event(body: bytes) -> Any:
    return json.loads(events(body)[-1][1])


@pytest.mark.parametrize("text", ["boom", "two\nlines", "\u2028", "é", ""])
@pytest.mark.parametrize("before", [b"", LINE, LINE * 3])
def test_an_error_is_a_line_of_its_own_after_whole_lines(before: bytes, text: str) -> None:
    body = before + error_piece(LINES, OLLAMA, failure(text), last=before)

    assert len(pieces(body)) == len(pieces(before)) + 1
    assert last_line(body) == {"error": text}
    assert body.endswith(b"\n")


@given(cut=st.integers(1, len(LINE) - 1), kept=st.sampled_from([b"", LINE]))
def test_a_partial_line_is_closed_before_the_error(cut: int, kept: bytes) -> None:
    before = kept + LINE[:cut]

    body = before + error_piece(LINES, OLLAMA, failure(), last=before)

    assert last_line(body) == {"error": "boom"}


@pytest.mark.parametrize("count", [1, 2, 30])
def test_keep_alive_spaces_leave_every_line_readable(count: int) -> None:
    spaces = KEEPALIVES[LINES] * count

    assert json.loads(pieces(spaces + LINE)[0])["done"] is False
    assert last_line(spaces + error_piece(LINES, OLLAMA, failure(), last=spaces)) == {
        "error": "boom"
    }


def test_spaces_after_whole_lines_are_no_partial_line() -> None:
    body = LINE + b"  " + error_piece(LINES, OLLAMA, failure(), last=LINE + b"  ")

    assert [json.loads(piece) for piece in pieces(body)][-1] == {"error": "boom"}
    assert len(pieces(body)) == 2


def test_keep_alive_spaces_leave_a_whole_answer_readable() -> None:
    spaces = KEEPALIVES[WHOLE] * 3

    assert json.loads(spaces + b'{"done":true}') == {"done": True}
    body = spaces + error_piece(WHOLE, OLLAMA, failure(), last=spaces)
    assert json.loads(body) == {"error": "boom"}


def test_keep_alive_comments_are_no_events() -> None:
    comments = KEEPALIVES[EVENTS] * 3

    assert events(comments + EVENT) == events(EVENT)


@pytest.mark.parametrize("dialect", [OPENAI, ANTHROPIC])
@pytest.mark.parametrize("text", ["boom", "two\nlines", "\u2028"])
@pytest.mark.parametrize("before", [b"", EVENT, KEEPALIVES[EVENTS], EVENT * 2])
def test_an_error_is_an_event_of_its_own(dialect: Dialect, text: str, before: bytes) -> None:
    piece = error_piece(EVENTS, dialect, failure(text), last=before)

    assert len(events(before + piece)) == len(events(before)) + 1
    assert last_event(before + piece)["error"]["message"] == text
    assert piece.isascii()
    assert piece.endswith(b"\n\n")


@given(cut=st.integers(1, len(EVENT) - 1), dialect=st.sampled_from([OPENAI, ANTHROPIC]))
def test_a_partial_event_is_closed_before_the_error(cut: int, dialect: Dialect) -> None:
    body = EVENT[:cut] + error_piece(EVENTS, dialect, failure(), last=EVENT[:cut])

    assert last_event(body)["error"]["message"] == "boom"


def test_an_error_for_anthropic_is_an_event_named_error() -> None:
    piece = error_piece(EVENTS, ANTHROPIC, failure(), last=b"")

    assert [name for name, _ in events(piece)] == ["error"]
    assert last_event(piece)["type"] == "error"


ANSWERS = {
    "ollama's": (b'{"error":"model \'x\' not found"}', "model 'x' not found"),
    "printed over several lines": (b'{\n  "error": "no"\n}\n', "no"),
    "with windows' line ends": (b'{\r\n"error": "no"\r\n}', "no"),
    "a proxy's page": (b"<html>\n<h1>Bad Gateway</h1></html>", "Bad Gateway"),
    "a text": (b"404 page not found", "404 page not found"),
    "no UTF-8": (b"\xff\xfe", "\ufffd\ufffd"),
    "a cut object": (b'{"error":"mod', "mod"),
    "an object without an error": (b'{"detail":"Not Found"}', "Not Found"),
    "a brace and no JSON": (b"{oops", "oops"),
    "a raw line separator": ('{"error":"a\u2028b"}'.encode(), "a"),
}


@pytest.mark.parametrize(("answer", "words"), ANSWERS.values(), ids=ANSWERS)
@pytest.mark.parametrize("framing", [LINES, WHOLE])
def test_a_targets_error_is_told_in_one_last_line(
    framing: Framing, answer: bytes, words: str
) -> None:
    told = told_in_band(framing, OLLAMA, 404, answer)

    assert len(pieces(told)) == 1
    assert words in last_line(told)["error"]


@pytest.mark.parametrize(("answer", "words"), ANSWERS.values(), ids=ANSWERS)
@pytest.mark.parametrize("dialect", [OPENAI, ANTHROPIC])
def test_a_targets_error_is_told_in_one_last_event(
    dialect: Dialect, answer: bytes, words: str
) -> None:
    told = told_in_band(EVENTS, dialect, 404, answer)

    assert len(events(told)) == 1
    assert words in last_event(told)["error"]["message"]


@pytest.mark.parametrize(
    ("dialect", "answer"),
    [
        (OPENAI, b'{"error":{"message":"no","type":"not_found_error","param":null,"code":null}}'),
        (ANTHROPIC, b'{"type":"error","error":{"type":"not_found_error","message":"no"}}'),
    ],
)
def test_a_targets_error_keeps_its_message_and_its_type(dialect: Dialect, answer: bytes) -> None:
    error = last_event(told_in_band(EVENTS, dialect, 404, answer))["error"]

    assert (error["message"], error["type"]) == ("no", "not_found_error")


@pytest.mark.parametrize(
    "answer", [b"", b" \n ", b"[" * 100_000, b"null", b'{"error":null}', b"[]"]
)
@pytest.mark.parametrize(("framing", "dialect"), [(LINES, OLLAMA), (EVENTS, OPENAI)])
def test_a_target_that_gives_no_reason_is_still_told_as_an_error(
    framing: Framing, dialect: Dialect, answer: bytes
) -> None:
    told = told_in_band(framing, dialect, 500, answer)

    error = (last_line(told) if framing is LINES else last_event(told))["error"]
    assert error if framing is LINES else error["message"]


@pytest.mark.parametrize(
    ("status", "words"),
    [(301, "301 Moved Permanently"), (404, "404 Not Found"), (503, "503 Service Unavailable")],
)
def test_an_answer_without_a_body_is_told_by_its_status(status: int, words: str) -> None:
    told = told_in_band(LINES, OLLAMA, status, b"")

    assert last_line(told) == {"error": f"the target answered {words}"}


def head_of(content_type: str, *, status: int = 200, length: str | None = None) -> Head:
    lengths = [] if length is None else [("Content-Length", length)]
    return Head(status, [("Content-Type", content_type), *lengths])


@pytest.mark.parametrize(
    ("head", "framing"),
    [
        (head_of("application/x-ndjson"), LINES),
        (head_of("Text/Event-Stream; charset=utf-8"), EVENTS),
        (head_of("application/json"), None),
        (head_of("text/plain"), None),
        (head_of("application/x-ndjson", length="10"), None),
        (Head(200, []), None),
    ],
)
def test_only_a_stream_without_a_promised_length_can_report_an_error(
    head: Head, framing: Framing | None
) -> None:
    assert stream_framing(head) is framing


@pytest.mark.parametrize(
    ("framing", "head", "can"),
    [
        (LINES, head_of("application/x-ndjson"), True),
        (LINES, head_of("application/json", status=201), True),
        (LINES, head_of("application/json", status=307), False),
        (WHOLE, head_of("application/json", status=500), False),
        (EVENTS, head_of("text/event-stream"), True),
        (EVENTS, head_of("application/json"), False),
    ],
)
def test_after_keep_alives_only_a_success_in_the_promised_framing_follows(
    framing: Framing, head: Head, can: bool
) -> None:
    assert can_follow(framing, head) is can
