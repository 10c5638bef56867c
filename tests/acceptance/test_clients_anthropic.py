"""The Anthropic SDK on /v1/messages, synchronous and asynchronous."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

import anthropic
import pytest
from anthropic.types import MessageParam, ToolParam

from foreman.core.states import JobState
from tests.acceptance.clients.long_wait import LongWait
from tests.acceptance.clients.witness import (
    CHAT,
    QUESTION,
    SAID,
    THINK,
    THOUGHT,
    TOOLS,
    WORDS,
    Witness,
    all_slots_held,
)

T = TypeVar("T")

ASKED: list[MessageParam] = [{"role": "user", "content": QUESTION}]
MOST = 1024  # tokens; an answer has fewer
PAINT: ToolParam = {
    "name": "paint",
    "input_schema": {"type": "object", "properties": {"color": {"type": "string"}}},
}


def connect(url: str) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=url, api_key="unused", max_retries=0)


@pytest.fixture
def client(witness: Witness) -> Iterator[anthropic.Anthropic]:
    with connect(witness.url) as client:
        yield client


def read_stream(client: anthropic.Anthropic) -> str:
    with client.messages.stream(model=CHAT, max_tokens=MOST, messages=ASKED) as stream:
        return "".join(stream.text_stream)


def read_whole(client: anthropic.Anthropic) -> str:
    answer = client.messages.create(model=CHAT, max_tokens=MOST, messages=ASKED)
    return "".join(block.text for block in answer.content if block.type == "text")


READS = pytest.mark.parametrize("read", [read_stream, read_whole])
Read = Callable[[anthropic.Anthropic], str]


def ask(url: str, use: Callable[[anthropic.AsyncAnthropic], Coroutine[Any, Any, T]]) -> T:
    """Give `use` an asynchronous client in an event loop of its own."""

    async def run() -> T:
        async with anthropic.AsyncAnthropic(
            base_url=url, api_key="unused", max_retries=0
        ) as client:
            return await use(client)

    return asyncio.run(run())


async def read_stream_async(client: anthropic.AsyncAnthropic) -> str:
    async with client.messages.stream(model=CHAT, max_tokens=MOST, messages=ASKED) as stream:
        return "".join([text async for text in stream.text_stream])


# Answers


def test_anthropic_reads_a_token_while_the_model_still_speaks(
    client: anthropic.Anthropic, witness: Witness
) -> None:
    witness.hush(after_tokens=1)
    with client.messages.stream(model=CHAT, max_tokens=MOST, messages=ASKED) as stream:
        texts = stream.text_stream
        assert next(texts) == WORDS[0]
        assert witness.is_speaking()
        witness.go_on()
        assert list(texts) == list(WORDS[1:])
        last = stream.get_final_message()
    assert (last.stop_reason, last.usage.output_tokens) == ("end_turn", 42)


def test_anthropic_reads_a_whole_message(client: anthropic.Anthropic) -> None:
    answer = client.messages.create(model=CHAT, max_tokens=3, messages=ASKED)
    assert [block.type for block in answer.content] == ["text"]
    assert answer.stop_reason == "max_tokens"
    assert read_whole(client) == SAID


def test_anthropic_gets_a_tool_call_streamed_and_whole(client: anthropic.Anthropic) -> None:
    with client.messages.stream(
        model=TOOLS, max_tokens=MOST, messages=ASKED, tools=[PAINT]
    ) as stream:
        streamed = stream.get_final_message()
    whole = client.messages.create(model=TOOLS, max_tokens=MOST, messages=ASKED, tools=[PAINT])
    for answer in (streamed, whole):
        (block,) = answer.content
        assert block.type == "tool_use"
        assert (block.name, block.input) == ("paint", {"color": "blue"})


def test_anthropic_reads_thoughts_before_words(client: anthropic.Anthropic) -> None:
    with client.messages.stream(
        model=THINK,
        max_tokens=2048,
        messages=ASKED,
        thinking={"type": "enabled", "budget_tokens": MOST},
    ) as stream:
        thoughts, words = stream.get_final_message().content
    assert thoughts.type == "thinking"
    assert words.type == "text"
    assert (thoughts.thinking, words.text) == (THOUGHT, SAID)


def test_anthropic_reads_more_answers_at_once_than_there_are_slots(witness: Witness) -> None:
    async def use(client: anthropic.AsyncAnthropic) -> list[str]:
        return await asyncio.gather(*(read_stream_async(client) for _ in range(6)))

    assert ask(witness.url, use) == [SAID] * 6


# Errors


@pytest.mark.parametrize("stream", [True, False])
def test_anthropic_raises_not_found_for_an_unknown_model(
    client: anthropic.Anthropic, stream: bool
) -> None:
    with pytest.raises(anthropic.NotFoundError, match="model 'unknown' not found"):
        client.messages.create(model="unknown", max_tokens=MOST, messages=ASKED, stream=stream)


def test_anthropic_raises_bad_request_for_a_model_without_tools(
    client: anthropic.Anthropic,
) -> None:
    with pytest.raises(anthropic.BadRequestError, match="does not support tools"):
        client.messages.create(model=CHAT, max_tokens=MOST, messages=ASKED, tools=[PAINT])


def test_anthropic_raises_when_the_target_is_cut_off_in_mid_stream(
    client: anthropic.Anthropic, witness: Witness
) -> None:
    witness.simulation.fault("cut", after_tokens=3, times=1)
    with pytest.raises(anthropic.APIStatusError):
        read_stream(client)


def test_async_anthropic_raises_when_the_target_is_cut_off_in_mid_stream(
    witness: Witness,
) -> None:
    witness.simulation.fault("cut", after_tokens=3, times=1)
    with pytest.raises(anthropic.APIStatusError):
        ask(witness.url, read_stream_async)


@READS
def test_anthropic_raises_an_error_of_the_target_with_its_status(
    client: anthropic.Anthropic, witness: Witness, read: Read
) -> None:
    witness.simulation.fault("error500", times=1)
    with pytest.raises(anthropic.InternalServerError, match="while running the model"):
        read(client)


# Leaving


def test_anthropic_stops_the_model_when_it_leaves_its_stream(
    client: anthropic.Anthropic, witness: Witness
) -> None:
    witness.hush(after_tokens=2)
    with client.messages.stream(model=CHAT, max_tokens=MOST, messages=ASKED) as stream:
        assert next(stream.text_stream) == WORDS[0]
    witness.assert_stopped_by_departure()


@READS
def test_anthropic_that_gives_up_in_the_queue_never_reaches_the_target(
    client: anthropic.Anthropic, witness: Witness, read: Read
) -> None:
    with all_slots_held(witness):
        with pytest.raises(anthropic.APITimeoutError):
            read(client.with_options(timeout=1.0))
        job = witness.wait_for_job(JobState.CANCELLED)
    witness.assert_never_reached_the_target(job)


def test_async_anthropic_cancelled_in_the_queue_never_reaches_the_target(
    witness: Witness,
) -> None:
    async def use(client: anthropic.AsyncAnthropic) -> None:
        reading = asyncio.ensure_future(read_stream_async(client))
        await asyncio.to_thread(witness.wait_for_job, JobState.QUEUED)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading

    with all_slots_held(witness):
        ask(witness.url, use)
        job = witness.wait_for_job(JobState.CANCELLED)
    witness.assert_never_reached_the_target(job)


# Waiting


@READS
def test_anthropic_reads_an_answer_behind_keepalives(long_wait: LongWait, read: Read) -> None:
    with connect(long_wait.url) as client:
        assert long_wait.through(lambda: read(client)) == SAID


def test_async_anthropic_reads_a_stream_behind_keepalives(long_wait: LongWait) -> None:
    assert long_wait.through(lambda: ask(long_wait.url, read_stream_async)) == SAID


def test_anthropic_raises_an_error_behind_keepalives(long_wait: LongWait) -> None:
    with (
        connect(long_wait.url) as client,
        pytest.raises(anthropic.APIStatusError, match="while running the model"),
    ):
        long_wait.through_to_an_error(lambda: read_stream(client))
