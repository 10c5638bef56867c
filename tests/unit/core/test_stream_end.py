"""How a stream ended, by real exchanges with Ollama and by what they are without their ends."""

import json
from pathlib import Path
from typing import Any

import pytest

from foreman.core.frames import Head
from foreman.core.stream_end import StreamEnd, stream_end

EVENTS = Head(200, [("Content-Type", "text/event-stream")])
LINES = Head(200, [("Content-Type", "application/x-ndjson")])
GOLDEN = Path(__file__).parents[2] / "golden" / "ollama-0.33.jsonl"


def streams() -> dict[str, dict[str, Any]]:
    """The recorded exchanges whose answers are streams."""
    exchanges = [json.loads(line) for line in GOLDEN.read_text().splitlines()]
    kinds = ("text/event-stream", "application/x-ndjson")
    return {
        each["name"]: each
        for each in exchanges
        if str(dict(each["headers"]).get("content-type", "")).startswith(kinds)
    }


STREAMS = streams()
OF_EVENTS = {name: each for name, each in STREAMS.items() if each["path"].startswith("/v1/")}


def seen(path: str, head: Head, body: bytes, piece_bytes: int = 7) -> StreamEnd:
    end = stream_end(path, head)
    for at in range(0, len(body), piece_bytes):
        end.feed(body[at : at + piece_bytes])
    return end


def test_the_recording_has_a_stream_of_every_dialect() -> None:
    assert {each["path"] for each in STREAMS.values()} >= {
        "/api/chat",
        "/api/generate",
        "/v1/chat/completions",
        "/v1/completions",
        "/v1/messages",
        "/v1/responses",
    }


@pytest.mark.parametrize("piece_bytes", [1, 7, 100_000])
@pytest.mark.parametrize("name", STREAMS)
def test_a_whole_stream_is_whole(name: str, piece_bytes: int) -> None:
    exchange = STREAMS[name]
    head = Head(200, list(dict(exchange["headers"]).items()))

    end = seen(exchange["path"], head, exchange["body"].encode(), piece_bytes)

    assert (end.is_early, end.error) == (False, None)


@pytest.mark.parametrize("name", OF_EVENTS)
def test_events_without_the_last_one_have_ended_early(name: str) -> None:
    exchange = OF_EVENTS[name]
    *events, _, _ = exchange["body"].split("\n\n")
    body = "".join(event + "\n\n" for event in events).encode()

    end = seen(exchange["path"], EVENTS, body)

    assert (end.is_early, end.error) == (True, None)


def test_a_stream_of_lines_may_end_without_done() -> None:
    end = seen("/api/chat", LINES, b'{"message":{"content":"a"},"done":false}\n')

    assert (end.is_early, end.error) == (False, None)


def test_what_a_model_writes_is_no_end_and_no_error() -> None:
    text = json.dumps('\n{"error":"x"}\ndata: [DONE]\n\ndata: {"error":"x"}').encode()

    of_lines = seen("/api/chat", LINES, b'{"message":{"content":' + text + b"}}\n")
    of_events = seen("/v1/chat/completions", EVENTS, b'data: {"choices":[' + text + b"]}\n\n")

    assert of_lines.error is None
    assert (of_events.is_early, of_events.error) == (True, None)


@pytest.mark.parametrize("piece_bytes", [1, 10, 1000])
@pytest.mark.parametrize(
    ("path", "head", "last"),
    [
        ("/api/chat", LINES, b'{"error":"it died"}\n'),
        ("/v1/chat/completions", EVENTS, b'data: {"error":{"message":"it died"}}\n\n'),
        (
            "/v1/messages",
            EVENTS,
            b'event: error\ndata: {"type":"error","error":{"message":"it died"}}\n\n',
        ),
    ],
)
def test_an_error_of_the_targets_own_is_found(
    path: str, head: Head, last: bytes, piece_bytes: int
) -> None:
    before = b'{"done":false}\n' if head is LINES else b'data: {"choices":[]}\n\n'

    end = seen(path, head, before + last, piece_bytes)

    assert (end.is_early, end.error) == (False, "it died")


@pytest.mark.parametrize(
    ("path", "head"),
    [
        ("/v1/chat/completions", Head(200, [("Content-Type", "application/json")])),
        ("/v1/chat/completions", Head(500, EVENTS.headers)),
        ("/v1/audio/transcriptions", EVENTS),
    ],
)
def test_what_is_no_stream_of_a_known_dialect_is_never_early(path: str, head: Head) -> None:
    assert not seen(path, head, b"data: {}\n\n").is_early
