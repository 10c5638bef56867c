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
    body = error_body(dialect, failure)
    if framing is Framing.EVENTS:
        # A half-sent event is closed first; both SDKs raise on what follows.
        event = b"event: error\n" if dialect is Dialect.ANTHROPIC else b""
        return _closing(last, b"\n\n") + event + b"data: " + body + b"\n\n"
    return _closing(last.strip(b" "), b"\n") + body + b"\n"


def told_in_band(framing: Framing, dialect: Dialect, status: int, body: bytes) -> bytes:
    """A target's error answer, for a stream whose 200 is sent already."""
    if framing is not Framing.EVENTS:
        line = b" ".join(body.split(b"\n")).strip()
        if line.startswith(b"{"):
            return line + b"\n"
    failure = Failure(status, "target_error", _message_of(body))
    return error_piece(framing, dialect, failure, last=b"")


def _closing(last: bytes, terminator: bytes) -> bytes:
    return b"" if not last or last.endswith(terminator) else terminator


def _message_of(body: bytes) -> str:
    text = body.decode("utf-8", errors="replace").strip()
    try:
        error = json.loads(text)["error"]
        return str(error["message"] if isinstance(error, dict) else error)
    except (ValueError, KeyError, TypeError):
        return text or "the target gave no reason"


def _error(dialect: Dialect, failure: Failure, request_id: str) -> dict[str, object]:
    if dialect is Dialect.OLLAMA:
        return {"error": failure.message}
    if dialect is Dialect.ANTHROPIC:
        kind = _ANTHROPIC_TYPES.get(failure.status, "api_error")
        error: dict[str, object] = {"type": kind, "message": failure.message}
        return {"type": "error", "error": error, "request_id": request_id or None}
    kind = "invalid_request_error" if failure.status < 500 else "api_error"
    error = {"message": failure.message, "type": kind, "param": None, "code": failure.code}
    return {"error": error}
