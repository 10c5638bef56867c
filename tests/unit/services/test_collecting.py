"""The sink of an asynchronous run: what it asks for, what it makes of the answer."""

import base64
import json
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from foreman.core.frames import Head
from foreman.core.states import Source
from foreman.errors import (
    AnswerTooLarge,
    ForemanError,
    RequestRefused,
    TargetCut,
    TargetFailed,
    TargetRefused,
)
from foreman.services.collecting import ARTIFACTS_LIMIT, CollectedSink
from foreman.store.runs import Claim
from tests.factories import JOB_ID, failure
from tests.unit.core.gather.streams import EVENTS, LINES, lines

NATIVE = "application/json; charset=utf-8"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)
WORDS = lines(
    {"message": {"role": "assistant", "content": "a"}, "done": False},
    {"message": {"role": "assistant", "content": "b"}, "done": False},
)
END = lines({"message": {"content": ""}, "done": True, "prompt_eval_count": 3, "eval_count": 2})


def claim(**changes: Any) -> Claim:
    usual = Claim(
        job_id=JOB_ID, fence=1, attempt=1, max_attempts=3, endpoint="/api/chat", model="m:latest",
        web_id=None, query="", headers=[], body=b'{"model":"m","stream":false}', queue="model.m",
        source=Source.ASYNC, streams=True, waited_s=0.0,
    )  # fmt: skip
    return replace(usual, **changes)


def sink(
    status: int = 200,
    content_type: str = LINES,
    *,
    limit_bytes: int = 10_000,
    **changes: Any,
) -> CollectedSink:
    """One that has asked, and got this head."""
    opened = CollectedSink(claim(**changes), limit_bytes=limit_bytes)
    opened.ask(claim().body)
    opened.begin(Head(status, [("Content-Type", content_type)]))
    return opened


def test_it_asks_for_a_stream_whatever_the_caller_wrote() -> None:
    asked = CollectedSink(claim(), limit_bytes=1).ask(claim().body)

    assert json.loads(bytes(asked.body)) == {"model": "m", "stream": True}
    assert asked.streams


@pytest.mark.parametrize("body", [b"{", b"\xff", b'{"a":' * 100_000], ids=["cut", "bytes", "deep"])
def test_what_is_stored_and_cannot_be_read_is_refused(body: bytes) -> None:
    with pytest.raises(RequestRefused):
        CollectedSink(claim(), limit_bytes=1).ask(body)


def test_it_counts_tokens_as_they_come() -> None:
    opened = sink()
    assert opened.tokens is None

    opened.take(WORDS)

    assert opened.tokens == 2


def test_the_answer_is_one_body_with_its_usage() -> None:
    opened = sink()
    opened.take(WORDS + END)

    outcome = opened.finish()

    (result,) = outcome.artifacts
    assert (result.name, result.content_type) == ("response.json", NATIVE)
    assert json.loads(result.body)["message"]["content"] == "ab"
    assert (outcome.status, outcome.response_bytes) == (200, len(result.body))
    assert (outcome.usage.prompt_tokens, outcome.usage.output_tokens) == (3, 2)


def test_an_answer_of_an_openai_route_has_that_routes_content_type() -> None:
    opened = sink(content_type=EVENTS, endpoint="/v1/completions")
    opened.take(b'data: {"id":"cmpl-1","choices":[{"text":"a","index":0}]}\n\ndata: [DONE]\n\n')

    assert opened.finish().artifacts[0].content_type == "application/json"


def test_each_image_is_an_artifact_of_its_own() -> None:
    images = [base64.b64encode(each).decode() for each in (PNG, b"\xff\xd8\xff" + bytes(9))]
    opened = sink()
    opened.take(lines({"message": {"content": "", "images": images}, "done": True}))

    artifacts = {each.name: each for each in opened.finish().artifacts}

    assert set(artifacts) == {"response.json", "image-1.png", "image-2.jpeg"}
    assert artifacts["image-1.png"].body == PNG
    assert artifacts["image-1.png"].content_type == "image/png"


def test_the_chunks_are_an_artifact_when_they_are_asked_for() -> None:
    opened = sink(keeps_stream=True)
    opened.take(WORDS)
    opened.take(END)

    stream = {each.name: each for each in opened.finish().artifacts}["stream.ndjson"]

    told = [json.loads(line)["data"] for line in stream.body.splitlines()]
    assert told == [WORDS.decode(), END.decode()]


def test_a_recording_over_the_limit_is_cut_and_the_result_stays() -> None:
    opened = sink(keeps_stream=True, limit_bytes=1000)
    for _ in range(20):
        opened.take(WORDS)
    opened.take(END)

    artifacts = {each.name: each.body for each in opened.finish().artifacts}

    assert json.loads(artifacts["response.json"])["message"]["content"] == "ab" * 20
    assert json.loads(artifacts["stream.ndjson"].splitlines()[-1]) == {"cut": True}
    assert len(artifacts["stream.ndjson"]) <= 1000


@pytest.mark.parametrize(
    ("status", "error"),
    [(400, TargetRefused), (404, TargetRefused), (500, TargetFailed), (503, TargetFailed)],
)
def test_an_error_answer_is_an_error_in_its_words_and_its_body_stays(
    status: int, error: type[ForemanError]
) -> None:
    opened = sink(status, NATIVE)
    body = b'{"error":"it is so"}'
    opened.take(body)

    with pytest.raises(error, match="it is so"):
        opened.finish()

    outcome = opened.fail(failure())
    assert (outcome.status, outcome.response_bytes) == (status, len(body))
    assert [(each.name, each.body) for each in outcome.artifacts] == [("response.json", body)]


def test_an_error_in_the_stream_ends_it_at_once() -> None:
    opened = sink()

    with pytest.raises(TargetFailed, match="runner died"):
        opened.take(WORDS + lines({"error": "runner died"}))


def test_a_stream_without_its_end_is_cut_and_leaves_what_was_counted() -> None:
    opened = sink(content_type=EVENTS, endpoint="/v1/completions", keeps_stream=True)
    opened.take(b'data: {"id":"cmpl-1","choices":[{"text":"a","index":0}]}\n\n')

    with pytest.raises(TargetCut):
        opened.finish()

    outcome = opened.fail(failure())
    assert (outcome.status, outcome.usage.output_tokens) == (None, 1)
    assert [each.name for each in outcome.artifacts] == ["stream.ndjson"]


@pytest.mark.parametrize("status", [200, 500])
@pytest.mark.parametrize("keeps_stream", [True, False])
def test_no_more_is_kept_of_an_answer_than_the_limit(status: int, keeps_stream: bool) -> None:
    opened = sink(status, NATIVE, limit_bytes=1000, keeps_stream=keeps_stream)

    with pytest.raises(AnswerTooLarge):
        opened.take(b"x" * 1001)


def test_of_very_many_images_the_first_are_artifacts_and_all_are_in_the_result() -> None:
    encoded = base64.b64encode(PNG).decode()
    opened = sink(limit_bytes=2**21, keeps_stream=True)
    opened.take(lines({"message": {"content": "", "images": [encoded] * 20_000}, "done": False}))
    opened.take(END)

    artifacts = opened.finish().artifacts

    names = [artifact.name for artifact in artifacts]
    assert len(names) == ARTIFACTS_LIMIT == 64
    assert names[0] == "response.json"
    assert names[1:-1] == [f"image-{number}.png" for number in range(1, 63)]
    assert names[-1] == "stream.ndjson"
    assert len(json.loads(artifacts[0].body)["message"]["images"]) == 20_000


def peak_bytes(opened: CollectedSink, chunks: Iterator[bytes]) -> int:
    """The most that was allocated while an answer was taken and put together."""
    tracemalloc.start()
    try:
        for chunk in chunks:
            opened.take(chunk)
        opened.finish()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def long_chat(size_bytes: int) -> Iterator[bytes]:
    for _ in range(size_bytes // 50_000):
        yield lines({"message": {"role": "assistant", "content": "x" * 50_000}, "done": False})
    yield END


def long_embedding(size_bytes: int) -> Iterator[bytes]:
    yield b'{"embeddings":[[0'
    for _ in range(size_bytes // 52_000):
        yield b",-0.012345678" * 4000
    yield b"]]}"


@pytest.mark.parametrize(
    ("endpoint", "content_type", "chunks", "times"),
    [
        ("/api/chat", LINES, long_chat, 3.5),
        ("/api/embed", "application/json", long_embedding, 3.5),
    ],
)
def test_a_large_answer_is_put_together_in_a_few_times_its_size(
    endpoint: str, content_type: str, chunks: Callable[[int], Iterator[bytes]], times: float
) -> None:
    size = 8 * 2**20
    opened = sink(content_type=content_type, limit_bytes=2 * size, endpoint=endpoint)

    assert peak_bytes(opened, chunks(size)) < times * size
