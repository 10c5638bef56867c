"""What holds for every stream there can be: cuts change nothing, and nothing raises but errors
of foreman's own."""

import json
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreman.core.gather.choose import gathering_for
from foreman.core.replies import Framing, error_piece
from foreman.core.surface import Dialect
from foreman.errors import AnswerTooLarge, TargetError, TargetFailed
from tests.factories import failure
from tests.golden_contract import EXCHANGES
from tests.unit.core.gather.streams import EVENTS, LINES, events, fed, in_pieces, lines

ENDPOINTS = {
    "/api/chat": LINES,
    "/api/generate": LINES,
    "/v1/chat/completions": EVENTS,
    "/v1/completions": EVENTS,
    "/v1/responses": EVENTS,
    "/v1/messages": EVENTS,
    "/api/embed": "application/json; charset=utf-8",
}
RECORDED = {
    exchange.path: exchange.answer.body.encode()
    for exchange in EXCHANGES
    if exchange.answer.status == 200 and exchange.path in ENDPOINTS
    if exchange.answer.headers["content-type"] == ENDPOINTS[exchange.path]
}
DIALECTS = {
    "/api/chat": Dialect.OLLAMA,
    "/v1/chat/completions": Dialect.OPENAI,
    "/v1/completions": Dialect.OPENAI,
    "/v1/responses": Dialect.OPENAI,
    "/v1/messages": Dialect.ANTHROPIC,
}
# Words that mean something to one dialect or another, and values of every type under them.
NAMES = (
    "model", "message", "role", "content", "thinking", "tool_calls", "images", "logprobs", "done",
    "response", "error", "type", "index", "choices", "delta", "text", "finish_reason", "usage",
    "function", "arguments", "id", "name", "output", "summary", "tools", "format", "reasoning",
    "content_block", "partial_json", "input", "citation", "item", "image", "prompt_tokens",
    "total_duration", "eval_count", "completed", "url", "source", "data", "result",
)  # fmt: skip
TYPES = (
    "message_start", "content_block_start", "content_block_delta", "message_delta", "message_stop",
    "error", "response.completed", "response.failed", "response.output_text.delta", "image",
    "image_generation_call",
)  # fmt: skip
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4)
VALUES = st.recursive(
    SCALARS | st.sampled_from(TYPES) | st.just("\ud83d"),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4)
    ),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=6)
any_endpoint = pytest.mark.parametrize("endpoint", ENDPOINTS)


def outcome(endpoint: str, chunks: Iterable[bytes], limit_bytes: int = 100_000) -> object:
    """All that can be seen at the end, or the error; only the target's own errors are caught."""
    gathering = gathering_for(endpoint, ENDPOINTS[endpoint], limit_bytes=limit_bytes)
    try:
        for chunk in chunks:
            gathering.feed(chunk)
        body, images = gathering.finish(), gathering.images()
    except TargetError as exc:
        return repr(exc)
    return body, images, gathering.pieces, gathering.usage, gathering.error


@any_endpoint
@given(data=st.data())
def test_the_cuts_of_a_stream_change_nothing(endpoint: str, data: st.DataObject) -> None:
    body = RECORDED[endpoint]
    cuts = data.draw(st.lists(st.integers(0, len(body)), max_size=20))

    assert outcome(endpoint, in_pieces(body, cuts)) == outcome(endpoint, [body])


@any_endpoint
@given(body=st.binary(max_size=300), cuts=st.lists(st.integers(0, 300), max_size=5))
def test_any_bytes_end_in_a_body_or_in_an_error_of_the_target(
    endpoint: str, body: bytes, cuts: list[int]
) -> None:
    assert outcome(endpoint, in_pieces(body, cuts)) == outcome(endpoint, [body])


@any_endpoint
@given(objects=st.lists(OBJECTS, max_size=6), types=st.lists(st.sampled_from(TYPES), min_size=6))
def test_any_objects_end_in_a_body_or_in_an_error_of_the_target(
    endpoint: str, objects: list[dict[str, object]], types: list[str]
) -> None:
    named = [{"type": kind, **said} for kind, said in zip(types, objects, strict=False)]
    written = [json.dumps(said).encode() for said in named]
    is_lines = ENDPOINTS[endpoint] == LINES
    body = b"".join(one + b"\n" if is_lines else b"data: " + one + b"\n\n" for one in written)
    ending = b"" if is_lines else b"data: [DONE]\n\n"

    found = outcome(endpoint, [body + ending])

    if isinstance(found, tuple):
        assert isinstance(json.loads(found[0]), dict)


@any_endpoint
@given(data=st.data())
def test_a_recorded_stream_with_a_wrong_byte_does_no_worse(
    endpoint: str, data: st.DataObject
) -> None:
    body = bytearray(RECORDED[endpoint])
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))

    assert outcome(endpoint, [bytes(body)])


@any_endpoint
def test_every_beginning_of_a_stream_but_the_whole_is_cut(endpoint: str) -> None:
    body = RECORDED[endpoint]
    for end in range(0, len(body) - 20, 97):
        found = outcome(endpoint, [body[:end]])

        # Whole lines of Ollama's own are an answer: it may stop so.
        is_legal = ENDPOINTS[endpoint] == LINES and end and isinstance(found, tuple)
        assert is_legal or "AnswerIncomplete" in str(found), (end, found)


@any_endpoint
def test_an_answer_over_the_limit_is_refused(endpoint: str) -> None:
    body = RECORDED[endpoint]
    length = len(fed(endpoint, [body], ENDPOINTS[endpoint]).finish())

    assert "AnswerTooLarge" in str(outcome(endpoint, [body], length - 1))


@pytest.mark.parametrize("endpoint", ["/api/chat", "/v1/chat/completions", "/v1/messages"])
def test_words_without_end_are_refused_before_they_are_all_kept(endpoint: str) -> None:
    word = "x" * 900
    said: dict[str, object] = {
        "/api/chat": {"message": {"content": word}},
        "/v1/chat/completions": {"choices": [{"index": 0, "delta": {"content": word}}]},
        "/v1/messages": {"type": "content_block_delta", "delta": {"text": word}},
    }
    begin = events({"type": "content_block_start", "content_block": {}})
    one = lines(said[endpoint]) if endpoint == "/api/chat" else events(said[endpoint])
    gathering = gathering_for(endpoint, ENDPOINTS[endpoint], limit_bytes=10_000)
    gathering.feed((begin if endpoint == "/v1/messages" else b"") + one * 10)

    with pytest.raises(AnswerTooLarge):
        gathering.feed(one * 2)


@pytest.mark.parametrize(("endpoint", "dialect"), DIALECTS.items())
@pytest.mark.parametrize("share", [0.0, 0.31, 0.5, 0.77])
def test_an_error_that_foreman_writes_into_a_stream_is_read_as_one(
    endpoint: str, dialect: Dialect, share: float
) -> None:
    begun = RECORDED[endpoint][: int(len(RECORDED[endpoint]) * share)]
    framing = Framing.LINES if dialect is Dialect.OLLAMA else Framing.EVENTS
    whole = begun[: begun.rfind(b"\n\n" if framing is Framing.EVENTS else b"\n") + 1]
    ending = error_piece(framing, dialect, failure("boom"), last=whole)

    with pytest.raises(TargetFailed, match=r"^boom$"):
        fed(endpoint, [whole, ending]).finish()


def test_a_line_of_some_megabytes_is_read() -> None:
    context = list(range(300_000))
    line = json.dumps({"response": "a", "done": True, "context": context}, separators=(",", ":"))

    found = fed("/api/generate", in_pieces(line.encode() + b"\n", range(0, len(line), 16_384)))

    assert found.finish() == line.encode()
