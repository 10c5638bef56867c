"""Real clients understand tools, thinking, images, JSON and embeddings, in every dialect.

The clients are `Any` here: they type each request and each block, and we send plain dicts.
"""

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import ollama
import openai
import pytest

from foreman.simulation.process import SimulationProcess
from tests.unit.simulation.client import ask, chat

PICTURE = "iVBORw0KGgo="
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city"],
}
FUNCTION = {"name": "weather", "description": "tells it", "parameters": SCHEMA}
TOOL = {"type": "function", "function": FUNCTION}
ARGUMENTS = {"city": "blue", "days": 1}
THOUGHT = "Let me think about it."
HELLO = [{"role": "user", "content": "hello"}]


@pytest.fixture(scope="module")
def demo() -> Iterator[SimulationProcess]:
    with SimulationProcess(demo=True, load_s=0, tokens_per_s=0, memory="64GiB") as simulation:
        yield simulation


@pytest.fixture
def native(demo: SimulationProcess) -> Iterator[Any]:
    with ollama.Client(demo.url) as client:
        yield client


@pytest.fixture
def gpt(demo: SimulationProcess) -> Iterator[Any]:
    with openai.OpenAI(base_url=f"{demo.url}/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture
def claude(demo: SimulationProcess) -> Iterator[Any]:
    with anthropic.Anthropic(base_url=demo.url, api_key="none", max_retries=0) as client:
        yield client


def test_the_demo_models_tell_what_they_can(native: Any) -> None:
    assert native.show("sim-think").capabilities == ["completion", "tools", "thinking"]
    assert len(native.list().models) == 13 + 5


@pytest.mark.parametrize("stream", [True, False])
def test_native_tool_calls(native: Any, stream: bool) -> None:
    answer = native.chat("sim-tools", HELLO, tools=[TOOL], stream=stream)

    messages = [part.message for part in answer] if stream else [answer.message]
    (call,) = [call for message in messages for call in message.tool_calls or ()]
    assert (call.function.name, call.function.arguments) == ("weather", ARGUMENTS)


def test_native_thinking_comes_before_the_words(native: Any) -> None:
    parts = list(native.chat("sim-think", HELLO, think=True, stream=True))

    assert "".join(part.message.thinking or "" for part in parts) == THOUGHT
    assert [bool(part.message.thinking) for part in parts[:7]] == [True] * 6 + [False]


@pytest.mark.parametrize(("think", "thinking"), [(None, THOUGHT), (True, THOUGHT), (False, None)])
def test_a_model_that_can_think_does_unless_told_not_to(
    native: Any, think: bool | None, thinking: str | None
) -> None:
    assert native.generate("sim-think", "hello", think=think).thinking == thinking


def test_native_json_answers(native: Any) -> None:
    free = native.generate("sim-chat", "hello", format="json").response
    bound = native.generate("sim-chat", "hello", format=SCHEMA).response

    assert "rayleigh" in json.loads(str(free))["answer"]
    assert json.loads(str(bound)) == ARGUMENTS


def test_native_logprobs_and_their_alternatives(native: Any) -> None:
    parts = list(native.chat("sim-chat", HELLO, logprobs=True, top_logprobs=2, stream=True))

    assert parts[0].logprobs is not None
    assert parts[0].logprobs[0].token == parts[0].message.content == " rayleigh"
    assert len(parts[0].logprobs[0].top_logprobs or ()) == 2


def test_images_are_taken_and_bad_ones_refused(demo: SimulationProcess) -> None:
    good = chat("sim-vision", stream=False)
    good["messages"] = [{"role": "user", "content": "what?", "images": [PICTURE]}]
    bad = chat("sim-vision")
    bad["messages"] = [{"role": "user", "content": "what?", "images": ["iVB%RORw0KGgo="]}]

    assert ask(demo.url, "/api/chat", good).status == 200
    answer = ask(demo.url, "/api/chat", bad)
    assert (answer.status, answer.json["error"]) == (400, "illegal base64 data at input byte 3")


def test_openai_tool_calls(gpt: Any) -> None:
    answer = gpt.chat.completions.create(model="sim-tools", messages=HELLO, tools=[TOOL])

    (call,) = answer.choices[0].message.tool_calls
    assert (call.function.name, json.loads(call.function.arguments)) == ("weather", ARGUMENTS)
    assert answer.choices[0].finish_reason == "tool_calls"


def test_openai_tool_calls_in_a_stream(gpt: Any) -> None:
    chunks = list(
        gpt.chat.completions.create(model="sim-tools", messages=HELLO, tools=[TOOL], stream=True)
    )

    assert chunks[0].choices[0].delta.tool_calls[0].function.name == "weather"
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


def test_openai_reasoning_and_its_refusal(gpt: Any) -> None:
    answer = gpt.chat.completions.create(
        model="sim-think",
        messages=HELLO,
        reasoning_effort="high",
    )

    assert answer.choices[0].message.reasoning == THOUGHT
    with pytest.raises(openai.BadRequestError, match="does not support thinking"):
        gpt.chat.completions.create(model="sim-chat", messages=HELLO, reasoning_effort="low")


def test_openai_images_logprobs_and_json(gpt: Any) -> None:
    url = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PICTURE}"}}
    answer = gpt.chat.completions.create(
        model="sim-vision",
        messages=[{"role": "user", "content": [{"type": "text", "text": "what?"}, url]}],
        logprobs=True,
        top_logprobs=1,
        response_format={"type": "json_object"},
    )

    assert "answer" in json.loads(str(answer.choices[0].message.content))
    assert answer.choices[0].logprobs is not None
    assert answer.choices[0].logprobs.content


def test_openai_completions_stream(gpt: Any) -> None:
    chunks = list(gpt.completions.create(model="sim-chat", prompt="sky", stream=True, max_tokens=3))

    text = "".join(chunk.choices[0].text for chunk in chunks)
    assert (text, chunks[-1].choices[0].finish_reason) == (" rayleigh scatter atmosphere", "length")


def test_openai_responses_with_tools_and_thinking(gpt: Any) -> None:
    tool = {"type": "function", **FUNCTION}
    with gpt.responses.stream(model="sim-think", input="hello", tools=[tool]) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()

    assert [item.type for item in final.output] == ["reasoning", "function_call"]
    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed"
    assert "response.function_call_arguments.delta" in kinds


def test_openai_responses_whole(gpt: Any) -> None:
    answer = gpt.responses.create(model="sim-think", input="hello", max_output_tokens=8)

    assert answer.output_text == " rayleigh scatter"
    assert answer.output[0].type == "reasoning"


@pytest.mark.parametrize("more", [{}, {"encoding_format": "float"}])
def test_openai_embeddings(gpt: Any, more: dict[str, str]) -> None:
    # Without a wish the client asks for base64 and unpacks it.
    answer = gpt.embeddings.create(model="sim-embed", input=["sky", "sea"], **more)

    first, second = (row.embedding for row in answer.data)
    assert len(first) == 128
    assert sum(x * x for x in first) == pytest.approx(1, abs=1e-4)
    assert first != second


def test_the_same_text_has_the_same_vector_in_every_dialect(native: Any, gpt: Any) -> None:
    by_native = native.embed("sim-embed", "sky").embeddings[0]
    by_older = native.embeddings("sim-embed", "sky").embedding
    by_openai = gpt.embeddings.create(model="sim-embed", input="sky").data[0].embedding

    assert by_native == pytest.approx(by_older, abs=1e-6)
    assert by_native == pytest.approx(by_openai, abs=1e-6)


def test_anthropic_tool_use_after_thinking(claude: Any) -> None:
    answer = claude.messages.create(
        model="sim-think",
        max_tokens=50,
        messages=HELLO,
        tools=[{"name": "weather", "input_schema": SCHEMA}],
    )

    assert [block.type for block in answer.content] == ["thinking", "tool_use"]
    assert answer.content[1].input == ARGUMENTS
    assert answer.stop_reason == "tool_use"


def test_anthropic_streams_blocks_in_order(claude: Any) -> None:
    with claude.messages.stream(model="sim-think", max_tokens=9, messages=HELLO) as stream:
        message = stream.get_final_message()

    assert [block.type for block in message.content] == ["thinking", "text"]
    assert (message.usage.output_tokens, message.stop_reason) == (9, "max_tokens")


def test_anthropic_streams_tool_use(claude: Any) -> None:
    with claude.messages.stream(
        model="sim-tools",
        max_tokens=9,
        messages=HELLO,
        tools=[{"name": "weather", "input_schema": SCHEMA}],
    ) as stream:
        (block,) = stream.get_final_message().content

    assert block.input == ARGUMENTS


def test_each_dialect_tells_a_busy_server_in_its_own_form() -> None:
    with SimulationProcess(max_queue=0) as simulation:
        body = {**chat("chain-a"), "max_tokens": 5}
        openai_error = ask(simulation.url, "/v1/chat/completions", body)
        anthropic_error = ask(simulation.url, "/v1/messages", body)

    assert openai_error.status == anthropic_error.status == 503
    assert openai_error.json["error"]["type"] == "api_error"
    assert anthropic_error.json["error"]["type"] == "overloaded_error"


def test_a_recording_is_transcribed(gpt: Any) -> None:
    answer = gpt.audio.transcriptions.create(model="sim-chat", file=("a.wav", b"RIFF"))

    assert answer.text.startswith("rayleigh")
