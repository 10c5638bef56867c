"""Turn the request of a job into one that the target streams.

A worker wants to see the answer grow: silence, progress and a cancel show only in a stream. What
the client wrote of `stream` does not matter; the whole answer is put together by `gather`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from foreman.core.bodies import folded
from foreman.errors import RequestRefused

_STREAMS = {
    "/api/chat",
    "/api/generate",
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/responses",
    "/v1/messages",
}
# A stream of these says what it cost only when it is asked to.
_ASKED_FOR_USAGE = {"/v1/chat/completions", "/v1/completions"}


@dataclass(frozen=True, slots=True)
class StreamRequest:
    """What is sent to the target."""

    body: bytes
    streams: bool  # whether the endpoint can; an embedding never does
    had_usage: bool = False  # the client itself asked for `stream_options.include_usage`


def stream_request(endpoint: str, request: Mapping[str, object]) -> StreamRequest:
    """Return the body that makes `endpoint` stream; RequestRefused when it cannot be JSON."""
    if endpoint not in _STREAMS:
        return StreamRequest(_written(request), streams=False)
    sent = _without(request, "stream") | {"stream": True}
    if endpoint not in _ASKED_FOR_USAGE:
        return StreamRequest(_written(sent), streams=True)
    options = _last(request, "stream_options")
    options = options if isinstance(options, dict) else {}
    asked = _without(options, "include_usage") | {"include_usage": True}
    sent = _without(sent, "stream_options") | {"stream_options": asked}
    had_usage = _last(options, "include_usage") is True
    return StreamRequest(_written(sent), streams=True, had_usage=had_usage)


def _without(given: Mapping[str, object], name: str) -> dict[str, object]:
    # Ollama takes a key in any case, and the last one counts.
    return {key: value for key, value in given.items() if folded(key) != name}


def _last(given: Mapping[str, object], name: str) -> object:
    return next(
        (value for key, value in reversed(list(given.items())) if folded(key) == name), None
    )


def _written(request: Mapping[str, object]) -> bytes:
    # ASCII: half a surrogate pair, which a client may well send, has no bytes of its own.
    try:
        return json.dumps(request, separators=(",", ":"), allow_nan=False).encode()
    except (ValueError, RecursionError) as exc:
        raise RequestRefused(f"the request cannot be written as JSON: {exc}") from exc
