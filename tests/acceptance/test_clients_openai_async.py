"""The asynchronous OpenAI SDK on /v1: several answers at once, cancelled tasks."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

from foreman.core.states import JobState
from tests.acceptance.clients.long_wait import LongWait
from tests.acceptance.clients.witness import (
    CHAT,
    EMBED,
    QUESTION,
    SAID,
    WORDS,
    Witness,
    all_slots_held,
)

T = TypeVar("T")

ASKED: list[ChatCompletionMessageParam] = [{"role": "user", "content": QUESTION}]


def ask(url: str, use: Callable[[openai.AsyncOpenAI], Coroutine[Any, Any, T]]) -> T:
    """Give `use` a client in an event loop of its own."""

    async def run() -> T:
        async with openai.AsyncOpenAI(
            base_url=f"{url}/v1", api_key="unused", max_retries=0
        ) as client:
            return await use(client)

    return asyncio.run(run())


async def read_stream(client: openai.AsyncOpenAI) -> str:
    chunks = await client.chat.completions.create(model=CHAT, messages=ASKED, stream=True)
    return "".join([chunk.choices[0].delta.content or "" async for chunk in chunks])


async def read_whole(client: openai.AsyncOpenAI) -> str:
    answer = await client.chat.completions.create(model=CHAT, messages=ASKED)
    return answer.choices[0].message.content or ""


READS = pytest.mark.parametrize("read", [read_stream, read_whole])
Read = Callable[[openai.AsyncOpenAI], Coroutine[Any, Any, str]]


def test_async_openai_reads_a_token_while_the_model_still_speaks(witness: Witness) -> None:
    async def use(client: openai.AsyncOpenAI) -> None:
        chunks = await client.chat.completions.create(model=CHAT, messages=ASKED, stream=True)
        assert (await anext(chunks)).choices[0].delta.content == WORDS[0]
        assert witness.is_speaking()
        witness.go_on()
        rest = [chunk.choices[0].delta.content async for chunk in chunks]
        assert rest == [*WORDS[1:], None]

    witness.hush(after_tokens=1)
    ask(witness.url, use)


def test_async_openai_reads_more_answers_at_once_than_there_are_slots(witness: Witness) -> None:
    async def use(client: openai.AsyncOpenAI) -> list[str]:
        return await asyncio.gather(
            *(read_stream(client) for _ in range(3)), *(read_whole(client) for _ in range(3))
        )

    assert ask(witness.url, use) == [SAID] * 6


def test_async_openai_gets_embeddings(witness: Witness) -> None:
    async def use(client: openai.AsyncOpenAI) -> list[float]:
        return (await client.embeddings.create(model=EMBED, input="sky")).data[0].embedding

    assert len(ask(witness.url, use)) == 128


def test_async_openai_raises_not_found_for_an_unknown_model(witness: Witness) -> None:
    async def use(client: openai.AsyncOpenAI) -> None:
        await client.chat.completions.create(model="unknown", messages=ASKED, stream=True)

    with pytest.raises(openai.NotFoundError, match="model 'unknown' not found"):
        ask(witness.url, use)


def test_async_openai_raises_when_the_target_is_cut_off_in_mid_stream(witness: Witness) -> None:
    witness.simulation.fault("cut", after_tokens=3, times=1)
    with pytest.raises(openai.APIError):
        ask(witness.url, read_stream)


def test_async_openai_stops_the_model_when_its_task_is_cancelled(witness: Witness) -> None:
    async def use(client: openai.AsyncOpenAI) -> None:
        chunks = await client.chat.completions.create(model=CHAT, messages=ASKED, stream=True)
        assert (await anext(chunks)).choices[0].delta.content == WORDS[0]
        following = asyncio.ensure_future(anext(chunks))
        await asyncio.to_thread(witness.wait_for_job, JobState.WORKING)
        following.cancel()
        with pytest.raises(asyncio.CancelledError):
            await following

    witness.hush(after_tokens=1)
    ask(witness.url, use)
    witness.assert_stopped_by_departure()


@READS
def test_async_openai_cancelled_in_the_queue_never_reaches_the_target(
    witness: Witness, read: Read
) -> None:
    async def use(client: openai.AsyncOpenAI) -> None:
        reading = asyncio.ensure_future(read(client))
        await asyncio.to_thread(witness.wait_for_job, JobState.QUEUED)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading

    with all_slots_held(witness):
        ask(witness.url, use)
        job = witness.wait_for_job(JobState.CANCELLED)
    witness.assert_never_reached_the_target(job)


@READS
def test_async_openai_reads_an_answer_behind_keepalives(long_wait: LongWait, read: Read) -> None:
    assert long_wait.through(lambda: ask(long_wait.url, read)) == SAID
