"""The OpenAI SDK on /v1: chat, completions, responses, embeddings, models."""

import json
from collections.abc import Callable, Iterator

import openai
import pytest
from openai.types.chat import (
    ChatCompletionFunctionToolParam,
    ChatCompletionMessageParam,
)

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

ASKED: list[ChatCompletionMessageParam] = [{"role": "user", "content": QUESTION}]
PAINT: ChatCompletionFunctionToolParam = {
    "type": "function",
    "function": {
        "name": "paint",
        "parameters": {"type": "object", "properties": {"color": {"type": "string"}}},
    },
}


def connect(url: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0)


@pytest.fixture
def client(witness: Witness) -> Iterator[openai.OpenAI]:
    with connect(witness.url) as client:
        yield client


Read = Callable[[openai.OpenAI], str]


def read_chat(client: openai.OpenAI) -> str:
    chunks = client.chat.completions.create(model=CHAT, messages=ASKED, stream=True)
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks)


def read_response(client: openai.OpenAI) -> str:
    events = client.responses.create(model=CHAT, input=QUESTION, stream=True)
    return "".join(e.delta for e in events if e.type == "response.output_text.delta")


def read_completion(client: openai.OpenAI) -> str:
    chunks = client.completions.create(model=CHAT, prompt=QUESTION, stream=True)
    return "".join(chunk.choices[0].text for chunk in chunks)


# Answers


def test_openai_reads_a_token_while_the_model_still_speaks(
    client: openai.OpenAI, witness: Witness
) -> None:
    witness.hush(after_tokens=1)
    with client.chat.completions.create(model=CHAT, messages=ASKED, stream=True) as chunks:
        assert next(chunks).choices[0].delta.content == WORDS[0]
        assert witness.is_speaking()
        witness.go_on()
        rest = list(chunks)
    assert [chunk.choices[0].delta.content for chunk in rest] == [*WORDS[1:], None]
    assert rest[-1].choices[0].finish_reason == "stop"


def test_openai_gets_the_usage_of_a_stream_when_it_asks_for_it(client: openai.OpenAI) -> None:
    *_, last = client.chat.completions.create(
        model=CHAT, messages=ASKED, stream=True, stream_options={"include_usage": True}
    )
    assert last.usage is not None
    assert (last.choices, last.usage.completion_tokens) == ([], 42)


def test_openai_reads_a_whole_chat(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model=CHAT, messages=ASKED)
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == (SAID, "stop")
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 42


def test_openai_reads_completions_streamed_and_whole(client: openai.OpenAI) -> None:
    assert read_completion(client) == SAID
    assert client.completions.create(model=CHAT, prompt=QUESTION).choices[0].text == SAID


def test_openai_reads_responses_streamed_and_whole(client: openai.OpenAI) -> None:
    events = list(client.responses.create(model=CHAT, input=QUESTION, stream=True))
    last = events[-1]
    assert last.type == "response.completed"
    assert last.response.output_text == SAID
    assert [e.delta for e in events if e.type == "response.output_text.delta"] == list(WORDS)
    assert client.responses.create(model=CHAT, input=QUESTION).output_text == SAID


def test_openai_gets_embeddings(client: openai.OpenAI) -> None:
    # The SDK asks for base64 and decodes it, unless it is told to ask for numbers.
    packed = client.embeddings.create(model=EMBED, input=["sky", "sea"]).data
    plain = client.embeddings.create(model=EMBED, input="sky", encoding_format="float").data
    assert [len(row.embedding) for row in packed] == [128, 128]
    assert plain[0].embedding == pytest.approx(packed[0].embedding, abs=1e-6)


def test_openai_lists_models_and_retrieves_one(client: openai.OpenAI) -> None:
    assert f"{CHAT}:latest" in [model.id for model in client.models.list()]
    assert client.models.retrieve(CHAT).id == CHAT


def test_openai_gets_a_tool_call_streamed_and_whole(client: openai.OpenAI) -> None:
    first, *_ = client.chat.completions.create(
        model=TOOLS, messages=ASKED, tools=[PAINT], stream=True
    )
    (delta,) = first.choices[0].delta.tool_calls or []
    assert delta.function is not None
    assert (delta.function.name, delta.function.arguments) == ("paint", '{"color":"blue"}')
    whole = client.chat.completions.create(model=TOOLS, messages=ASKED, tools=[PAINT])
    assert whole.choices[0].finish_reason == "tool_calls"


def test_openai_reads_thoughts_before_words(client: openai.OpenAI) -> None:
    chunks = client.chat.completions.create(
        model=THINK, messages=ASKED, reasoning_effort="low", stream=True
    )
    # `reasoning` is Ollama's own field; the SDK keeps what it does not know.
    deltas = [chunk.choices[0].delta.model_dump() for chunk in chunks]
    assert "".join(delta.get("reasoning") or "" for delta in deltas[:6]) == THOUGHT
    assert "".join(delta["content"] or "" for delta in deltas[6:]) == SAID


def test_openai_transcribes_a_file(client: openai.OpenAI) -> None:
    sound = ("sound.wav", b"RIFF" + bytes(2000))
    assert client.audio.transcriptions.create(model=CHAT, file=sound).text == SAID.strip()


def test_openai_finds_the_job_in_the_headers_of_its_answer(
    client: openai.OpenAI, witness: Witness
) -> None:
    answer = client.chat.completions.with_raw_response.create(model=CHAT, messages=ASKED)
    job = witness.wait_for_job(JobState.SUCCEEDED)
    assert answer.headers["X-Foreman-Job-Id"] == str(job["id"])


# Errors


@pytest.mark.parametrize("stream", [True, False])
def test_openai_raises_not_found_for_an_unknown_model(client: openai.OpenAI, stream: bool) -> None:
    with pytest.raises(openai.NotFoundError, match="model 'unknown' not found"):
        client.chat.completions.create(model="unknown", messages=ASKED, stream=stream)


def test_openai_raises_bad_request_for_a_model_without_tools(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="does not support tools"):
        client.chat.completions.create(model=CHAT, messages=ASKED, tools=[PAINT])


@pytest.mark.parametrize("read", [read_chat, read_response, read_completion])
def test_openai_raises_when_the_target_is_cut_off_in_mid_stream(
    client: openai.OpenAI,
    witness: Witness,
    read: Read,
) -> None:
    witness.simulation.fault("cut", after_tokens=3, times=1)
    with pytest.raises(openai.APIError):
        read(client)


@pytest.mark.parametrize("read", [read_chat, read_response, read_completion])
def test_openai_raises_when_the_target_leaves_half_an_event(
    client: openai.OpenAI, witness: Witness, read: Read
) -> None:
    witness.simulation.fault("half_line", after_tokens=3, times=1)
    with pytest.raises(json.JSONDecodeError):
        read(client)


def test_openai_raises_an_error_of_the_target_with_its_status(
    client: openai.OpenAI, witness: Witness
) -> None:
    witness.simulation.fault("error500", times=1)
    with pytest.raises(openai.InternalServerError, match="while running the model"):
        client.chat.completions.create(model=CHAT, messages=ASKED)


# Leaving


def test_openai_stops_the_model_when_it_closes_its_stream(
    client: openai.OpenAI, witness: Witness
) -> None:
    witness.hush(after_tokens=2)
    with client.chat.completions.create(model=CHAT, messages=ASKED, stream=True) as chunks:
        assert next(chunks).choices[0].delta.content == WORDS[0]
    witness.assert_stopped_by_departure()


@pytest.mark.parametrize("stream", [True, False])
def test_openai_stops_the_model_when_it_gives_up_before_the_first_byte(
    client: openai.OpenAI, witness: Witness, stream: bool
) -> None:
    witness.simulation.fault("stall_before")
    hurried = client.with_options(timeout=4.0)
    with pytest.raises(openai.APITimeoutError):
        hurried.chat.completions.create(model=CHAT, messages=ASKED, stream=stream)
    witness.assert_stopped_by_departure()


@pytest.mark.parametrize("stream", [True, False])
def test_openai_that_gives_up_in_the_queue_never_reaches_the_target(
    client: openai.OpenAI, witness: Witness, stream: bool
) -> None:
    hurried = client.with_options(timeout=1.0)
    with all_slots_held(witness):
        with pytest.raises(openai.APITimeoutError):
            hurried.chat.completions.create(model=CHAT, messages=ASKED, stream=stream)
        job = witness.wait_for_job(JobState.CANCELLED)
    witness.assert_never_reached_the_target(job)


# Waiting


@pytest.mark.parametrize("read", [read_chat, read_response, read_completion])
def test_openai_reads_a_stream_behind_keepalives(long_wait: LongWait, read: Read) -> None:
    with connect(long_wait.url) as client:
        assert long_wait.through(lambda: read(client)) == SAID


def test_openai_reads_a_whole_answer_behind_keepalives(long_wait: LongWait) -> None:
    with connect(long_wait.url) as client:
        answer = long_wait.through(
            lambda: client.chat.completions.create(model=CHAT, messages=ASKED)
        )
    assert answer.choices[0].message.content == SAID


def test_openai_is_held_by_keepalives_beyond_its_own_timeout(long_wait: LongWait) -> None:
    with connect(long_wait.url) as client:
        hurried = client.with_options(timeout=2.0)
        assert long_wait.through(lambda: read_chat(hurried), keepalives=14) == SAID


def test_openai_raises_an_error_behind_keepalives(long_wait: LongWait) -> None:
    with (
        connect(long_wait.url) as client,
        pytest.raises(openai.APIError, match="while running the model"),
    ):
        long_wait.through_to_an_error(lambda: read_chat(client))
