"""All framings, all statuses, with keep-alives before and without, a cut at every byte.

A client gets the target's own answer to its last byte, or one error that its library understands,
or a connection that is closed short of what HTTP promised. Never half an answer that looks whole.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from foreman.core.states import JobState
from foreman.core.surface import Dialect
from tests.fakes.raw_target import chunked, head
from tests.unit.services.bridge.pair import BUFFER_BYTES, Pair, Seen, pair

LINES = [b'{"message":{"content":"a"},"done":false}\n', b'{"message":{"content":""},"done":true}\n']
OPENAI = [b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n', b"data: [DONE]\n\n"]
ANTHROPIC = [
    b'event: message_start\ndata: {"type":"message_start"}\n\n',
    b'event: message_stop\ndata: {"type":"message_stop"}\n\n',
]
VALUE = [b'{"message":{"content":"a"},', b'"done":true}']


@dataclass(frozen=True)
class Case:
    """One kind of answer to one kind of request."""

    dialect: Dialect
    streams: bool
    content_type: str
    pieces: list[bytes]
    has_length: bool = False

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)

    def answer(self, status: str = "200 OK") -> bytes:
        kind = f"Content-Type: {self.content_type}"
        if self.has_length:
            return head(status, kind, f"Content-Length: {len(self.body)}") + self.body
        return head(status, kind, "Transfer-Encoding: chunked") + chunked(*self.pieces)


CASES = {
    "ndjson": Case(Dialect.OLLAMA, True, "application/x-ndjson", LINES),
    "openai events": Case(Dialect.OPENAI, True, "text/event-stream", OPENAI),
    "anthropic events": Case(Dialect.ANTHROPIC, True, "text/event-stream", ANTHROPIC),
    "json": Case(Dialect.OLLAMA, False, "application/json", VALUE),
    "json with a length": Case(Dialect.OPENAI, False, "application/json", VALUE, True),
    "long json": Case(
        Dialect.OPENAI, False, "application/json", [b'{"a":"', b"x" * BUFFER_BYTES, b"x", b'"}']
    ),
    "long json with a length": Case(
        Dialect.OLLAMA, False, "application/json", [b'{"a":"' + b"x" * BUFFER_BYTES, b'"}'], True
    ),
    "text": Case(Dialect.OLLAMA, False, "text/plain", [b"some", b"text"]),
    "text to a streaming request": Case(Dialect.OLLAMA, True, "text/plain", [b"some", b"text"]),
}
STATUSES = [
    "200 OK", "201 Created", "204 No Content", "301 Moved Permanently", "304 Not Modified",
    "307 Temporary Redirect", "400 Bad Request", "404 Not Found", "429 Too Many Requests",
    "500 Internal Server Error", "503 Service Unavailable", "599 Unheard Of",
]  # fmt: skip


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    with pair(monkeypatch) as opened:
        yield opened


def errors_in(case: Case, body: bytes) -> list[object]:
    """The errors that a client of this dialect reads in a body."""
    if case.streams and case.dialect is not Dialect.OLLAMA:
        data = [line[6:] for line in body.split(b"\n") if line.startswith(b"data: ")]
    else:
        data = body.strip().split(b"\n")
    return [value["error"] for each in data if (value := parsed(each)) and "error" in value]


def parsed(text: bytes) -> dict[str, object] | None:
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def without_keepalives(body: bytes) -> bytes:
    return body.replace(b": queued\n\n", b"").lstrip(b" ")


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("status", STATUSES)
def test_a_client_that_has_no_byte_yet_gets_the_targets_answer_as_it_is(
    ends: Pair, monkeypatch: pytest.MonkeyPatch, name: str, status: str
) -> None:
    case, code = CASES[name], int(status[:3])

    seen = ends.exchange(
        case.answer(status), monkeypatch, dialect=case.dialect, streams=case.streams, waits=False
    )

    if 300 <= code < 400:
        assert seen.status == 502
        assert str(code).encode() in seen.body
        assert (seen.state, seen.failure and seen.failure.code) == (
            JobState.FAILED,
            "target_redirects",
        )
        return
    assert (seen.status, seen.is_closed_early) == (code, False)
    assert seen.body == (b"" if code == 204 else case.body)
    assert seen.state is JobState.SUCCEEDED


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("status", STATUSES)
def test_after_keep_alives_everything_but_a_success_is_one_error_in_band(
    ends: Pair, monkeypatch: pytest.MonkeyPatch, name: str, status: str
) -> None:
    case, code = CASES[name], int(status[:3])

    seen = ends.exchange(
        case.answer(status), monkeypatch, dialect=case.dialect, streams=case.streams, waits=True
    )

    assert (seen.status, seen.is_closed_early) == (200, False)
    if 200 <= code < 300:
        assert without_keepalives(seen.body) == (b"" if code == 204 else case.body)
        assert seen.state is JobState.SUCCEEDED
        return
    assert len(errors_in(case, seen.body)) == 1
    assert not seen.headers.get("Content-Length")
    if 300 <= code < 400:
        assert seen.state is JobState.FAILED


def test_an_answer_that_a_reader_of_events_would_pass_over_is_an_error(
    ends: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = ends.exchange(
        CASES["json"].answer(), monkeypatch, dialect=Dialect.OPENAI, streams=True, waits=True
    )

    assert len(errors_in(CASES["openai events"], seen.body)) == 1
    assert b"not with a stream of events" in seen.body


def check_cut(case: Case, seen: Seen, *, waits: bool, status: int) -> None:
    """The one end of an answer that was cut."""
    assert seen.state is JobState.FAILED
    body = without_keepalives(seen.body)
    if not waits and seen.status == 502:
        return  # nothing was passed on: an error of foreman's own, with a status
    if seen.is_closed_early:
        assert not errors_in(case, body)
        assert case.body.startswith(body)
        assert len(case.pieces) > 2 or case.content_type == "text/plain" or case.has_length
        return
    assert len(errors_in(case, body)) == 1, body
    if case.streams and status == 200:
        # What came before it is the beginning of the answer.
        starts = (b'{"error":', b"data: {", b"event: error\n")
        assert any(
            case.body.startswith(body[:end]) and body[end:].lstrip(b"\n").startswith(starts)
            for end in range(len(body))
        )


def cuts_of(answer: bytes) -> list[int]:
    """Every byte; of a long answer those at both ends."""
    if len(answer) < 1000:
        return list(range(len(answer)))
    return [*range(150), len(answer) // 2, *range(len(answer) - 40, len(answer))]


@pytest.mark.parametrize("waits", [False, True], ids=["at once", "after keep-alives"])
@pytest.mark.parametrize("status", ["200 OK", "404 Not Found"])
@pytest.mark.parametrize("name", CASES)
def test_an_answer_that_is_cut_at_any_byte_has_exactly_one_end(
    ends: Pair, monkeypatch: pytest.MonkeyPatch, name: str, status: str, waits: bool
) -> None:
    case = CASES[name]
    answer = case.answer(status)

    for at in cuts_of(answer):
        seen = ends.exchange(
            answer[:at], monkeypatch, dialect=case.dialect, streams=case.streams, waits=waits
        )
        check_cut(case, seen, waits=waits, status=int(status[:3]))


@pytest.mark.parametrize("waits", [False, True], ids=["at once", "after keep-alives"])
@pytest.mark.parametrize(
    "line", ["Content-Length: abc", "Content-Length: -1", "Transfer-Encoding: gzip"]
)
def test_a_head_that_cannot_be_read_is_a_502_and_no_defect(
    ends: Pair, monkeypatch: pytest.MonkeyPatch, line: str, waits: bool
) -> None:
    case = CASES["ndjson"]

    seen = ends.exchange(
        head("200 OK", line) + case.body,
        monkeypatch,
        dialect=case.dialect,
        streams=case.streams,
        waits=waits,
    )

    assert seen.status == (200 if waits else 502)
    assert b"invalid HTTP" in seen.body
    assert seen.failure is not None
    assert seen.failure.code == "answer_unreadable"
