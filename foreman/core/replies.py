"""Errors in the form of the caller's protocol, as a whole answer or inside a stream.

One line of compact ASCII JSON, never empty: Go clients take an empty error body for success, and a
raw U+2028 breaks Python's line readers.
"""

import json
from enum import StrEnum
from http import HTTPStatus

from foreman.core import headers as header_rules
from foreman.core.frames import Failure, Head
from foreman.core.lengths import promised_length
from foreman.core.surface import Dialect

_ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    408: "invalid_request_error",
    413: "request_too_large",
    414: "invalid_request_error",
    417: "invalid_request_error",
    429: "rate_limit_error",
    431: "invalid_request_error",
    503: "overloaded_error",
}


class Framing(StrEnum):
    """How the body of an answer is cut into pieces."""

    LINES = "lines"  # NDJSON
    EVENTS = "events"  # server-sent events
    WHOLE = "whole"  # one value


CONTENT_TYPES = {
    Framing.LINES: "application/x-ndjson",
    Framing.EVENTS: "text/event-stream",
    Framing.WHOLE: "application/json; charset=utf-8",
}

# What may precede any answer: space is JSON whitespace (a newline is not an NDJSON value), a
# comment is no event.
KEEPALIVES = {Framing.LINES: b" ", Framing.EVENTS: b": queued\n\n", Framing.WHOLE: b" "}


def framing_of(dialect: Dialect, *, streams: bool) -> Framing:
    if not streams:
        return Framing.WHOLE
    return Framing.LINES if dialect is Dialect.OLLAMA else Framing.EVENTS


def stream_framing(head: Head) -> Framing | None:
    """The framing in which the answer can report an error; None when it cannot at all."""
    kinds = {CONTENT_TYPES[each]: each for each in (Framing.LINES, Framing.EVENTS)}
    return kinds.get(_kind(head)) if promised_length(head.headers) is None else None


def can_follow(framing: Framing, head: Head) -> bool:
    """Whether a client that was promised a success in this framing can read the answer."""
    is_success = 200 <= head.status < 300
    # A reader of events passes over everything else: the answer would be lost in silence.
    is_readable = framing is not Framing.EVENTS or _kind(head) == CONTENT_TYPES[framing]
    return is_success and is_readable


def _kind(head: Head) -> str:
    kind = header_rules.find(head.headers, "content-type") or ""
    return kind.partition(";")[0].strip().lower()


def error_body(dialect: Dialect, failure: Failure, *, request_id: str = "") -> bytes:
    """The whole body of an error answer."""
    return json.dumps(_error(dialect, failure, request_id), separators=(",", ":")).encode()


def error_piece(framing: Framing, dialect: Dialect, failure: Failure, *, last: bytes) -> bytes:
    """What ends a stream that cannot go on; `last` is what it ended in so far."""
    return _piece(framing, dialect, error_body(dialect, failure), last)


def told_in_band(framing: Framing, dialect: Dialect, status: int, body: bytes) -> bytes:
    """A target's answer that is no success, for a stream whose 200 is sent already."""
    error = _error_in(body)
    if isinstance(error, str if dialect is Dialect.OLLAMA else dict):
        own = json.dumps(json.loads(body), separators=(",", ":")).encode()
        return _piece(framing, dialect, own, b"")
    text = error if isinstance(error, str) else body.decode("utf-8", errors="replace").strip()
    if status < 400 or not text:
        text = f"the target answered {status_line(status)}"
    if 200 <= status < 300:
        text += ", but not with a stream of events"
    failure = Failure(status if status >= 400 else 502, "target_error", text)
    return error_piece(framing, dialect, failure, last=b"")


def status_line(status: int) -> str:
    """A status with its name, if it has one."""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _piece(framing: Framing, dialect: Dialect, body: bytes, last: bytes) -> bytes:
    if framing is Framing.EVENTS:
        # A half-sent event is closed first; both SDKs raise on what follows.
        event = b"event: error\n" if dialect is Dialect.ANTHROPIC else b""
        return _closing(last, b"\n\n") + event + b"data: " + body + b"\n\n"
    return _closing(last.rstrip(b" ") or last, b"\n") + body + b"\n"


def _closing(last: bytes, terminator: bytes) -> bytes:
    return b"" if not last or last.endswith(terminator) else terminator


def _error_in(body: bytes) -> object:
    """The `error` of a target's answer; None when it is no JSON object or has none."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return (answer.get("error") or None) if isinstance(answer, dict) else None


def _openai_type(status: int) -> str:
    if status == 404:
        return "not_found_error"
    return "api_error" if status >= 500 or status == 429 else "invalid_request_error"


def _error(dialect: Dialect, failure: Failure, request_id: str) -> dict[str, object]:
    if dialect is Dialect.OLLAMA:
        return {"error": failure.message}
    if dialect is Dialect.ANTHROPIC:
        kind = _ANTHROPIC_TYPES.get(failure.status, "api_error")
        error: dict[str, object] = {"type": kind, "message": failure.message}
        return {"type": "error", "error": error, "request_id": request_id or None}
    kind = _openai_type(failure.status)
    error = {"message": failure.message, "type": kind, "param": None, "code": failure.code}
    return {"error": error}
