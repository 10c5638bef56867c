"""Streams that a real Ollama 0.33 sent come to the bodies that it sent for the same requests."""

import pytest

from foreman.core.gather.gathering import Gathering
from tests.golden_contract import EXCHANGES
from tests.unit.core.gather.streams import fed, masked

BY_NAME = {exchange.name: exchange for exchange in EXCHANGES}
PAIRS = [
    ("chat-default-streams", "chat-no-stream"),
    ("chat-stream-null", "chat-no-stream"),
    ("generate-default-streams", "generate-no-stream"),
    ("v1-chat-stream", "v1-chat"),
    ("v1-completions-stream", "v1-completions"),
    ("v1-messages-stream", "v1-messages"),
    ("v1-responses-stream", "v1-responses"),
]
WHOLE = ["chat-no-stream", "chat-load", "chat-unload", "embed", "embeddings", "v1-chat"]


def gathered(name: str) -> Gathering:
    exchange = BY_NAME[name]
    content_type = exchange.answer.headers["content-type"]
    return fed(exchange.path, [exchange.answer.body.encode()], content_type)


def usage_chunk(streamed: str, whole: str) -> bytes:
    """The chunk of the usage, which these were not asked for, with the usage of the other."""
    body = BY_NAME[whole].answer.body
    usage = body[body.index('"usage":') :].rstrip("\n}") + "}"
    like = 'data: {"id":"x","object":"x","created":1,"model":"chain-a","choices":[],'
    assert "[DONE]" in BY_NAME[streamed].answer.body
    return (like + usage + "}\n\n").encode()


@pytest.mark.parametrize(("streamed", "whole"), PAIRS, ids=[pair[0] for pair in PAIRS])
def test_a_recorded_stream_comes_to_the_recorded_body(streamed: str, whole: str) -> None:
    exchange = BY_NAME[streamed]
    body = exchange.answer.body.encode()
    if exchange.path in ("/v1/chat/completions", "/v1/completions"):
        body = body.replace(b"data: [DONE]", usage_chunk(streamed, whole) + b"data: [DONE]")
        # The id of a chunk is the id of the answer: the added one has none of its own.
        body = body.replace(b'"id":"x",', b"")

    found = fed(exchange.path, [body], exchange.answer.headers["content-type"]).finish()

    assert masked(found) == masked(BY_NAME[whole].answer.body.encode())


def test_the_recorded_chunk_of_the_usage_is_taken() -> None:
    gathering = gathered("v1-chat-stream-usage")

    assert b'"usage":{"prompt_tokens":39,"completion_tokens":4,"total_tokens":43}}' in (
        gathering.finish()
    )
    assert (gathering.usage.prompt_tokens, gathering.usage.output_tokens) == (39, 4)


@pytest.mark.parametrize("name", WHOLE)
def test_a_body_that_was_not_streamed_stays_as_it_is(name: str) -> None:
    assert gathered(name).finish() == BY_NAME[name].answer.body.encode()


def test_the_usage_of_a_recorded_stream_is_in_seconds() -> None:
    gathering = gathered("chat-num-predict")
    gathering.finish()

    usage = gathering.usage
    assert (usage.prompt_tokens, usage.output_tokens) == (39, 5)
    assert usage.load_s == pytest.approx(0.003961588)
    assert usage.prompt_eval_s == pytest.approx(0.000906)
    assert usage.eval_s == pytest.approx(0.002262)
