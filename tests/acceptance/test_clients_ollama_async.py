"""ollama-python, asynchronous: one event loop, several answers at once, cancelled tasks."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, TypeVar

import ollama
import pytest

from foreman.core.states import JobState
from tests.acceptance.clients.long_wait import LongWait
from tests.acceptance.clients.witness import (
    CHAT,
    EMBED,
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

ASKED = [ollama.Message(role="user", content=QUESTION)]
PAINT = {
    "type": "function",
    "function": {
        "name": "paint",
        "parameters": {"type": "object", "properties": {"color": {"type": "string"}}},
    },
}


def ask(url: str, use: Callable[[ollama.AsyncClient], Coroutine[Any, Any, T]]) -> T:
    """Give `use` a client in an event loop of its own."""

    async def run() -> T:
        async with ollama.AsyncClient(url) as client:
            return await use(client)

    return asyncio.run(run())


async def stream(client: ollama.AsyncClient) -> AsyncIterator[ollama.ChatResponse]:
    return await client.chat(CHAT, ASKED, stream=True)


async def read_stream(client: ollama.AsyncClient) -> str:
    return "".join([part.message.content or "" async for part in await stream(client)])


async def read_whole(client: ollama.AsyncClient) -> str:
    return (await client.chat(CHAT, ASKED)).message.content or ""


READS = pytest.mark.parametrize("read", [read_stream, read_whole])
Read = Callable[[ollama.AsyncClient], Coroutine[Any, Any, str]]


# Answers


def test_async_ollama_reads_a_token_while_the_model_still_speaks(witness: Witness) -> None:
    async def use(client: ollama.AsyncClient) -> None:
        parts = await stream(client)
        assert (await anext(parts)).message.content == WORDS[0]
        assert witness.is_speaking()
        witness.go_on()
        rest = [part async for part in parts]
        assert [part.message.content for part in rest] == [*WORDS[1:], ""]
        assert rest[-1].done_reason == "stop"

    witness.hush(after_tokens=1)
    ask(witness.url, use)


def test_async_ollama_reads_a_whole_chat(witness: Witness) -> None:
    assert ask(witness.url, read_whole) == SAID


def test_async_ollama_reads_generations_streamed_and_whole(witness: Witness) -> None:
    async def use(client: ollama.AsyncClient) -> None:
        parts = [part.response async for part in await client.generate(CHAT, "hi", stream=True)]
        assert parts == [*WORDS, ""]
        assert (await client.generate(CHAT, "hi")).response == SAID

    ask(witness.url, use)


def test_async_ollama_reads_more_answers_at_once_than_there_are_slots(witness: Witness) -> None:
    async def use(client: ollama.AsyncClient) -> list[str]:
        return await asyncio.gather(*(read_stream(client) for _ in range(6)))

    assert ask(witness.url, use) == [SAID] * 6


def test_async_ollama_gets_embeddings(witness: Witness) -> None:
    vectors = ask(witness.url, lambda client: client.embed(EMBED, ["sky", "sea"])).embeddings
    assert [len(vector) for vector in vectors] == [128, 128]


def test_async_ollama_lists_shows_and_sees_what_is_loaded(witness: Witness) -> None:
    async def use(client: ollama.AsyncClient) -> None:
        await client.generate(CHAT, QUESTION, options={"num_predict": 1})
        assert f"{CHAT}:latest" in [model.model for model in (await client.list()).models]
        assert "tools" in ((await client.show(TOOLS)).capabilities or [])
        assert f"{CHAT}:latest" in [model.model for model in (await client.ps()).models]

    ask(witness.url, use)


def test_async_ollama_gets_a_tool_call(witness: Witness) -> None:
    async def use(client: ollama.AsyncClient) -> list[ollama.Message.ToolCall]:
        parts = await client.chat(TOOLS, ASKED, tools=[PAINT], stream=True)
        return [call async for part in parts for call in part.message.tool_calls or []]

    (call,) = ask(witness.url, use)
    assert (call.function.name, call.function.arguments) == ("paint", {"color": "blue"})


def test_async_ollama_reads_thoughts_before_words(witness: Witness) -> None:
    async def use(client: ollama.AsyncClient) -> list[ollama.Message]:
        return [p.message async for p in await client.chat(THINK, ASKED, think=True, stream=True)]

    messages = ask(witness.url, use)
    assert "".join(message.thinking or "" for message in messages[:6]) == THOUGHT
    assert "".join(message.content or "" for message in messages[6:]) == SAID


# Errors


@pytest.mark.parametrize("streams", [True, False])
def test_async_ollama_raises_what_ollama_says_of_an_unknown_model(
    witness: Witness, streams: bool
) -> None:
    async def use(client: ollama.AsyncClient) -> None:
        if streams:
            await anext(await client.chat("unknown", ASKED, stream=True))
        else:
            await client.chat("unknown", ASKED)

    with pytest.raises(ollama.ResponseError) as raised:
        ask(witness.url, use)
    assert (raised.value.status_code, raised.value.error) == (404, "model 'unknown' not found")


@pytest.mark.parametrize("fault", ["cut", "error_in_stream"])
def test_async_ollama_raises_when_the_target_fails_in_mid_stream(
    witness: Witness, fault: str
) -> None:
    heard = []

    async def use(client: ollama.AsyncClient) -> None:
        async for part in await stream(client):
            heard.append(part.message.content)

    witness.simulation.fault(fault, after_tokens=3, times=1)
    with pytest.raises(ollama.ResponseError):
        ask(witness.url, use)
    assert heard == list(WORDS[:3])


# Leaving


def test_async_ollama_stops_the_model_when_its_task_is_cancelled(witness: Witness) -> None:
    async def use(client: ollama.AsyncClient) -> None:
        parts = await stream(client)
        assert (await anext(parts)).message.content == WORDS[0]
        following = asyncio.ensure_future(anext(parts))
        await asyncio.to_thread(witness.wait_for_job, JobState.WORKING)
        following.cancel()
        with pytest.raises(asyncio.CancelledError):
            await following

    witness.hush(after_tokens=1)
    ask(witness.url, use)
    witness.assert_stopped_by_departure()


@READS
def test_async_ollama_cancelled_in_the_queue_never_reaches_the_target(
    witness: Witness, read: Read
) -> None:
    async def use(client: ollama.AsyncClient) -> None:
        reading = asyncio.ensure_future(read(client))
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
def test_async_ollama_reads_an_answer_behind_keepalives(long_wait: LongWait, read: Read) -> None:
    assert long_wait.through(lambda: ask(long_wait.url, read)) == SAID


def test_async_ollama_raises_an_error_behind_keepalives(long_wait: LongWait) -> None:
    with pytest.raises(ollama.ResponseError, match="while running the model"):
        long_wait.through_to_an_error(lambda: ask(long_wait.url, read_stream))
