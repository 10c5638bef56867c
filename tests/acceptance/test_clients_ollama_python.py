"""ollama-python, synchronous: it works against foreman by changing the host only."""

import json
import os
from collections.abc import Iterator

import httpx
import ollama
import pytest

from foreman.core.states import JobState
from tests.acceptance.clients.long_wait import LongWait
from tests.acceptance.clients.witness import (
    CHAT,
    EMBED,
    HOLDER,
    QUESTION,
    SAID,
    THINK,
    THOUGHT,
    TOOLS,
    WORDS,
    Witness,
    all_slots_held,
)

ASKED = [ollama.Message(role="user", content=QUESTION)]


@pytest.fixture
def client(witness: Witness) -> Iterator[ollama.Client]:
    with ollama.Client(witness.url) as client:
        yield client


def chat_text(parts: Iterator[ollama.ChatResponse]) -> str:
    return "".join(part.message.content or "" for part in parts)


def paint(color: str) -> str:
    """Paint the sky.

    Args:
        color: what color
    """
    return f"it is {color}"


# Answers


def test_ollama_python_reads_a_token_while_the_model_still_speaks(
    client: ollama.Client, witness: Witness
) -> None:
    witness.hush(after_tokens=1)
    parts = client.chat(CHAT, ASKED, stream=True)
    assert next(parts).message.content == WORDS[0]
    assert witness.is_speaking()
    witness.go_on()
    rest = list(parts)
    assert chat_text(iter(rest)) == "".join(WORDS[1:])
    assert [part.done for part in rest] == [False] * 40 + [True]
    assert rest[-1].eval_count == 42


def test_ollama_python_reads_a_whole_chat(client: ollama.Client) -> None:
    answer = client.chat(CHAT, ASKED)
    assert (answer.message.content, answer.done_reason) == (SAID, "stop")


def test_ollama_python_reads_a_generation_token_by_token(client: ollama.Client) -> None:
    parts = list(client.generate(CHAT, QUESTION, stream=True))
    assert tuple(part.response for part in parts) == (*WORDS, "")
    assert parts[-1].context


def test_ollama_python_reads_a_whole_generation(client: ollama.Client) -> None:
    answer = client.generate(CHAT, QUESTION, options={"num_predict": 3})
    assert (answer.response, answer.done_reason) == ("".join(WORDS[:3]), "length")


def test_ollama_python_gets_embeddings_from_both_routes(client: ollama.Client) -> None:
    many = client.embed(EMBED, ["sky", "sea"]).embeddings
    one = client.embeddings(EMBED, "sky").embedding
    assert [len(vector) for vector in many] == [128, 128]
    assert list(one) == pytest.approx(list(many[0]), abs=1e-6)


@pytest.mark.parametrize("stream", [True, False])
def test_ollama_python_gets_a_tool_call(client: ollama.Client, stream: bool) -> None:
    if stream:
        first = next(client.chat(TOOLS, ASKED, tools=[paint], stream=True))
    else:
        first = client.chat(TOOLS, ASKED, tools=[paint])
    calls = first.message.tool_calls or []
    assert [(call.function.name, call.function.arguments) for call in calls] == [
        ("paint", {"color": "blue"})
    ]


def test_ollama_python_reads_thoughts_before_words(client: ollama.Client) -> None:
    parts = list(client.chat(THINK, ASKED, think=True, stream=True))
    assert "".join(part.message.thinking or "" for part in parts) == THOUGHT
    assert chat_text(iter(parts)) == SAID
    whole = client.chat(THINK, ASKED, think=True)
    assert (whole.message.thinking, whole.message.content) == (THOUGHT, SAID)


def test_ollama_python_gets_an_answer_in_the_format_it_asked_for(client: ollama.Client) -> None:
    schema = {"type": "object", "properties": {"color": {"type": "string"}}}
    answer = client.chat(CHAT, ASKED, format=schema)
    assert answer.message.content == '{"color": "blue"}'


def test_ollama_python_sends_an_image_of_some_megabytes(client: ollama.Client) -> None:
    answer = client.generate(HOLDER, "what is it?", images=[os.urandom(3_000_000)])
    assert answer.response == SAID


# Errors


@pytest.mark.parametrize("stream", [True, False])
def test_ollama_python_raises_what_ollama_says_of_an_unknown_model(
    client: ollama.Client, stream: bool
) -> None:
    with pytest.raises(ollama.ResponseError) as raised:
        list(client.chat("unknown", ASKED, stream=stream))  # type: ignore[call-overload]  # the flag is a literal there
    assert (raised.value.status_code, raised.value.error) == (404, "model 'unknown' not found")


def test_ollama_python_raises_what_ollama_says_of_a_model_without_tools(
    client: ollama.Client,
) -> None:
    with pytest.raises(ollama.ResponseError, match="does not support tools") as raised:
        next(client.chat(CHAT, ASKED, tools=[paint], stream=True))
    assert raised.value.status_code == 400


# Half a line is no JSON; the other two end in a line that tells the error.
@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("cut", ollama.ResponseError),
        ("half_line", json.JSONDecodeError),
        ("error_in_stream", ollama.ResponseError),
    ],
)
def test_ollama_python_raises_when_the_target_fails_in_mid_stream(
    client: ollama.Client, witness: Witness, fault: str, error: type[Exception]
) -> None:
    witness.simulation.fault(fault, after_tokens=3, times=1)
    heard: list[str | None] = []
    with pytest.raises(error):
        heard.extend(part.message.content for part in client.chat(CHAT, ASKED, stream=True))
    assert heard == list(WORDS[:3])


def test_ollama_python_does_not_see_that_its_answer_took_two_runs(
    client: ollama.Client, witness: Witness
) -> None:
    witness.simulation.fault("cut_before", times=1)
    assert chat_text(client.chat(CHAT, ASKED, stream=True)) == SAID
    assert witness.wait_for_job(JobState.SUCCEEDED)["attempt"] == 2


@pytest.mark.parametrize("stream", [True, False])
def test_ollama_python_raises_when_the_target_fails_in_every_run(
    client: ollama.Client, witness: Witness, stream: bool
) -> None:
    witness.simulation.fault("cut_before")
    with pytest.raises(ollama.ResponseError, match="closed the connection") as raised:
        list(client.chat(CHAT, ASKED, stream=stream))  # type: ignore[call-overload]  # the flag is a literal there
    assert raised.value.status_code == 502
    assert witness.wait_for_job(JobState.FAILED)["attempt"] == 3


@pytest.mark.parametrize("stream", [True, False])
def test_ollama_python_raises_an_error_of_the_target_with_its_status(
    client: ollama.Client, witness: Witness, stream: bool
) -> None:
    witness.simulation.fault("error500", times=1)
    with pytest.raises(ollama.ResponseError, match="while running the model") as raised:
        list(client.generate(CHAT, QUESTION, stream=stream))  # type: ignore[call-overload]  # the flag is a literal there
    assert raised.value.status_code == 500


# Leaving


def test_ollama_python_stops_the_model_when_it_leaves_its_stream(
    client: ollama.Client, witness: Witness
) -> None:
    witness.hush(after_tokens=2)
    parts = client.chat(CHAT, ASKED, stream=True)
    assert [next(parts).message.content, next(parts).message.content] == list(WORDS[:2])
    parts.close()  # type: ignore[attr-defined]  # it is a generator
    witness.assert_stopped_by_departure()


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("silence", ["stall_before", "stall_in_stream"])
def test_ollama_python_stops_the_model_when_it_gives_up_in_a_silence(
    witness: Witness, silence: str, stream: bool
) -> None:
    witness.simulation.fault(silence, after_tokens=2)
    with (
        ollama.Client(witness.url, timeout=4.0) as hurried,
        pytest.raises(httpx.ReadTimeout),
    ):
        list(hurried.chat(CHAT, ASKED, stream=stream))
    witness.assert_stopped_by_departure()


@pytest.mark.parametrize("stream", [True, False])
def test_ollama_python_that_gives_up_in_the_queue_never_reaches_the_target(
    witness: Witness, stream: bool
) -> None:
    with all_slots_held(witness):
        with (
            ollama.Client(witness.url, timeout=1.0) as hurried,
            pytest.raises(httpx.ReadTimeout),
        ):
            list(hurried.chat(CHAT, ASKED, stream=stream))
        job = witness.wait_for_job(JobState.CANCELLED)
    witness.assert_never_reached_the_target(job)


# Waiting


def test_ollama_python_reads_a_stream_behind_keepalives(long_wait: LongWait) -> None:
    with ollama.Client(long_wait.url) as client:
        text = long_wait.through(lambda: chat_text(client.chat(CHAT, ASKED, stream=True)))
    assert text == SAID


def test_ollama_python_reads_a_whole_answer_behind_keepalives(long_wait: LongWait) -> None:
    with ollama.Client(long_wait.url) as client:
        answer = long_wait.through(lambda: client.generate(CHAT, QUESTION))
    assert answer.response == SAID


def test_ollama_python_is_held_by_keepalives_beyond_its_own_timeout(long_wait: LongWait) -> None:
    with ollama.Client(long_wait.url, timeout=2.0) as hurried:
        text = long_wait.through(
            lambda: chat_text(hurried.chat(CHAT, ASKED, stream=True)), keepalives=8
        )
    assert text == SAID


def test_ollama_python_raises_an_error_behind_keepalives(long_wait: LongWait) -> None:
    with (
        ollama.Client(long_wait.url) as client,
        pytest.raises(ollama.ResponseError, match="while running the model"),
    ):
        long_wait.through_to_an_error(lambda: list(client.chat(CHAT, ASKED, stream=True)))
