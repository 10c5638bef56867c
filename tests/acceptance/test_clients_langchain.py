"""langchain-ollama: chat models, text models and embeddings over the same client."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import ollama
import pytest
from langchain_core.messages import AIMessage, BaseMessageChunk
from langchain_core.tools import tool
from langchain_ollama import ChatOllama, OllamaEmbeddings, OllamaLLM

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

# The library has no way to close its clients, so they keep no idle connection to be closed.
UNKEPT = {"limits": httpx.Limits(max_keepalive_connections=0)}


@tool
def paint(color: str) -> str:
    """Paint the sky."""
    return f"it is {color}"


def chat_at(url: str, model: str = CHAT, **more: Any) -> ChatOllama:
    return ChatOllama(base_url=url, model=model, **{"client_kwargs": UNKEPT, **more})


def read_stream(chat: ChatOllama) -> str:
    return "".join(chunk.text for chunk in chat.stream(QUESTION))


def read_whole(chat: ChatOllama) -> str:
    return chat.invoke(QUESTION).text


def read_stream_async(chat: ChatOllama) -> str:
    async def read() -> str:
        return "".join([chunk.text async for chunk in chat.astream(QUESTION)])

    return asyncio.run(read())


READS = pytest.mark.parametrize("read", [read_stream, read_whole, read_stream_async])
Read = Callable[[ChatOllama], str]


# Answers


def test_langchain_reads_a_token_while_the_model_still_speaks(witness: Witness) -> None:
    witness.hush(after_tokens=1)
    chunks = chat_at(witness.url).stream(QUESTION)
    assert next(chunks).text == WORDS[0]
    assert witness.is_speaking()
    witness.go_on()
    assert "".join(chunk.text for chunk in chunks) == "".join(WORDS[1:])


@READS
def test_langchain_reads_an_answer(witness: Witness, read: Read) -> None:
    assert read(chat_at(witness.url)) == SAID


def test_langchain_tells_why_an_answer_ended_and_what_it_cost(witness: Witness) -> None:
    answer = chat_at(witness.url).invoke(QUESTION)
    assert isinstance(answer, AIMessage)
    assert answer.response_metadata["done_reason"] == "stop"
    assert answer.usage_metadata is not None
    assert answer.usage_metadata["output_tokens"] == 42


def test_langchain_reads_a_batch(witness: Witness) -> None:
    answers = chat_at(witness.url).batch([QUESTION] * 6)
    assert [answer.text for answer in answers] == [SAID] * 6


def test_langchain_reads_generations_streamed_and_whole(witness: Witness) -> None:
    model = OllamaLLM(base_url=witness.url, model=CHAT, client_kwargs=UNKEPT)
    assert "".join(model.stream(QUESTION)) == SAID
    assert model.invoke(QUESTION) == SAID


def test_langchain_gets_embeddings(witness: Witness) -> None:
    embeddings = OllamaEmbeddings(base_url=witness.url, model=EMBED, client_kwargs=UNKEPT)
    documents = embeddings.embed_documents(["sky", "sea"])
    assert [len(vector) for vector in documents] == [128, 128]
    assert asyncio.run(embeddings.aembed_query("sky")) == documents[0]


def test_langchain_gets_a_tool_call(witness: Witness) -> None:
    answer = chat_at(witness.url, TOOLS).bind_tools([paint]).invoke(QUESTION)
    assert [(call["name"], call["args"]) for call in answer.tool_calls] == [
        ("paint", {"color": "blue"})
    ]


def test_langchain_reads_thoughts_before_words(witness: Witness) -> None:
    chat = chat_at(witness.url, THINK, reasoning=True)
    chunks: list[BaseMessageChunk] = list(chat.stream(QUESTION))
    thoughts = [chunk.additional_kwargs.get("reasoning_content", "") for chunk in chunks]
    assert "".join(thoughts[:6]) == THOUGHT
    assert "".join(chunk.text for chunk in chunks[6:]) == SAID


def test_langchain_finds_its_model_in_the_list(witness: Witness) -> None:
    chat_at(witness.url, validate_model_on_init=True)
    with pytest.raises(ValueError, match="Model `unknown` not found in Ollama"):
        chat_at(witness.url, "unknown", validate_model_on_init=True)


# Errors


@READS
def test_langchain_raises_what_ollama_says_of_an_unknown_model(
    witness: Witness, read: Read
) -> None:
    with pytest.raises(ollama.ResponseError, match="model 'unknown' not found") as raised:
        read(chat_at(witness.url, "unknown"))
    assert raised.value.status_code == 404


@READS
@pytest.mark.parametrize("fault", ["cut", "error_in_stream"])
def test_langchain_raises_when_the_target_fails_in_mid_stream(
    witness: Witness, fault: str, read: Read
) -> None:
    witness.simulation.fault(fault, after_tokens=3, times=1)
    with pytest.raises(ollama.ResponseError):
        read(chat_at(witness.url))


# Leaving


def test_langchain_stops_the_model_when_it_leaves_its_stream(witness: Witness) -> None:
    witness.hush(after_tokens=2)
    chunks = chat_at(witness.url).stream(QUESTION)
    assert next(chunks).text == WORDS[0]
    chunks.close()  # type: ignore[attr-defined]  # it is a generator
    witness.assert_stopped_by_departure()


@pytest.mark.parametrize("read", [read_stream, read_whole])
def test_langchain_that_gives_up_in_the_queue_never_reaches_the_target(
    witness: Witness, read: Read
) -> None:
    with all_slots_held(witness):
        with pytest.raises(httpx.ReadTimeout):
            read(chat_at(witness.url, client_kwargs={**UNKEPT, "timeout": 1.0}))
        job = witness.wait_for_job(JobState.CANCELLED)
    witness.assert_never_reached_the_target(job)


def test_langchain_cancelled_in_the_queue_never_reaches_the_target(witness: Witness) -> None:
    async def leave_while_queued() -> None:
        reading = asyncio.ensure_future(chat_at(witness.url).ainvoke(QUESTION))
        await asyncio.to_thread(witness.wait_for_job, JobState.QUEUED)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading

    with all_slots_held(witness):
        asyncio.run(leave_while_queued())
        job = witness.wait_for_job(JobState.CANCELLED)
    witness.assert_never_reached_the_target(job)


# Waiting


@READS
def test_langchain_reads_an_answer_behind_keepalives(long_wait: LongWait, read: Read) -> None:
    assert long_wait.through(lambda: read(chat_at(long_wait.url))) == SAID


def test_langchain_reads_a_generation_behind_keepalives(long_wait: LongWait) -> None:
    model = OllamaLLM(base_url=long_wait.url, model=CHAT, client_kwargs=UNKEPT)
    assert long_wait.through(lambda: "".join(model.stream(QUESTION))) == SAID


def test_langchain_raises_an_error_behind_keepalives(long_wait: LongWait) -> None:
    with pytest.raises(ollama.ResponseError, match="while running the model"):
        long_wait.through_to_an_error(lambda: read_stream(chat_at(long_wait.url)))
