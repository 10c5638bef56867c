"""Errors in the form of the caller's protocol, as a whole answer or inside a stream.

One line of compact ASCII JSON, never empty: Go clients take an empty error body for success, and a
raw U+2028 breaks Python's line readers.
"""

import json
from enum import StrEnum

from foreman.core.frames import Failure
from foreman.core.surface import Dialect

_ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
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


def error_body(dialect: Dialect, failure: Failure, *, request_id: str = "") -> bytes:
    """The whole body of an error answer."""
    return json.dumps(_error(dialect, failure, request_id), separators=(",", ":")).encode()


def error_piece(framing: Framing, dialect: Dialect, failure: Failure, *, last: bytes) -> bytes:
    """What ends a stream that cannot go on; `last` is what it ended in so far."""
    return _piece(framing, dialect, error_body(dialect, failure), last)


def told_in_band(framing: Framing, dialect: Dialect, status: int, body: bytes) -> bytes:
    """A target's error answer, for a stream whose 200 is sent already."""
    error = _error_in(body)
    if isinstance(error, str if dialect is Dialect.OLLAMA else dict):
        own = json.dumps(json.loads(body), separators=(",", ":")).encode()
        return _piece(framing, dialect, own, b"")
    text = error if isinstance(error, str) else body.decode("utf-8", errors="replace").strip()
    failure = Failure(status, "target_error", text or "the target gave no reason")
    return error_piece(framing, dialect, failure, last=b"")


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
