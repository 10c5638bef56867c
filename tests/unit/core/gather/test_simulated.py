"""A gathered stream is, byte for byte, the body of the same call without streaming.

Both are asked of the simulated Ollama, in every dialect. Times, durations and ids are masked: the
one comes from a clock, the other from a die (see `streams.masked`).
"""

import json
from collections.abc import Iterator

import pytest

from foreman.core.gather.gathering import Gathering
from foreman.core.stream_request import stream_request
from foreman.simulation.process import SimulationProcess
from tests.unit.core.gather.streams import Answer, call, fed, in_pieces, masked

PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
)
ODD = '<b> & "it\'s"\\ \u2028 é 🦙'
SCHEMA = {
    "type": "object",
    "properties": {"z": {"enum": [ODD]}, "a": {"type": "number"}, "l": {"type": "array"}},
    "required": ["z"],
}
FUNCTION = {"name": "look", "description": "looks <up>", "parameters": SCHEMA}
ASKED = [{"role": "user", "content": "why is the sky <blue>?"}]
SEEN = [{"role": "user", "content": "what is it?", "images": [PIXEL]}]
NATIVE_TOOLS = [{"type": "function", "function": FUNCTION}]
FLAT_TOOLS = [{"type": "function", **FUNCTION}]
INPUT_TOOLS = [{"name": "look", "description": "looks", "input_schema": SCHEMA}]
FORMAT = {"format": {"type": "json_schema", "strict": True, "name": "n", "schema": SCHEMA}}

CHAT, GENERATE = "/api/chat", "/api/generate"
V1_CHAT, V1_COMPLETIONS = "/v1/chat/completions", "/v1/completions"
RESPONSES, MESSAGES = "/v1/responses", "/v1/messages"

CASES: dict[str, tuple[str, dict[str, object]]] = {
    "chat": (CHAT, {"model": "sim-chat", "messages": ASKED}),
    "chat, cut": (CHAT, {"model": "chain-a", "messages": ASKED, "options": {"num_predict": 3}}),
    "chat, json": (CHAT, {"model": "chain-a", "messages": ASKED, "format": SCHEMA}),
    "chat, logprobs": (
        CHAT,
        {"model": "chain-a", "messages": ASKED, "logprobs": True, "top_logprobs": 3},
    ),
    "chat, thinking": (CHAT, {"model": "sim-think", "messages": ASKED, "think": True}),
    "chat, only thinking": (
        CHAT,
        {"model": "sim-think", "messages": ASKED, "options": {"num_predict": 2}},
    ),
    "chat, tools": (CHAT, {"model": "sim-tools", "messages": ASKED, "tools": NATIVE_TOOLS}),
    "chat, thinking, tools, logprobs": (
        CHAT,
        {"model": "sim-think", "messages": ASKED, "tools": NATIVE_TOOLS, "logprobs": True},
    ),
    "chat, an image": (CHAT, {"model": "sim-vision", "messages": SEEN}),
    "chat, a name in its own case": (CHAT, {"model": "Chain-A", "Messages": ASKED}),
    "chat, load": (CHAT, {"model": "chain-a", "messages": []}),
    "chat, unload": (CHAT, {"model": "chain-b", "messages": [], "keep_alive": 0}),
    "generate": (GENERATE, {"model": "chain-a", "prompt": "why is the sky blue?"}),
    "generate, raw": (GENERATE, {"model": "chain-a", "prompt": "sky", "raw": True}),
    "generate, thinking": (GENERATE, {"model": "sim-think", "prompt": "sky", "think": "high"}),
    "generate, logprobs": (GENERATE, {"model": "chain-a", "prompt": "sky", "logprobs": True}),
    "generate, an image": (
        GENERATE,
        {"model": "sim-vision", "prompt": "what is it?", "images": [PIXEL]},
    ),
    "generate, load": (GENERATE, {"model": "chain-a"}),
    "v1 chat": (V1_CHAT, {"model": "chain-a", "messages": ASKED}),
    "v1 chat, cut": (V1_CHAT, {"model": "chain-a", "messages": ASKED, "max_tokens": 4}),
    "v1 chat, logprobs": (
        V1_CHAT,
        {"model": "chain-a", "messages": ASKED, "logprobs": True, "top_logprobs": 2},
    ),
    "v1 chat, reasoning": (
        V1_CHAT,
        {"model": "sim-think", "messages": ASKED, "reasoning_effort": "high"},
    ),
    "v1 chat, tools": (V1_CHAT, {"model": "sim-tools", "messages": ASKED, "tools": NATIVE_TOOLS}),
    "v1 chat, reasoning, tools": (
        V1_CHAT,
        {"model": "sim-think", "messages": ASKED, "tools": NATIVE_TOOLS},
    ),
    "v1 completions": (V1_COMPLETIONS, {"model": "chain-a", "prompt": "sky", "max_tokens": 5}),
    "v1 completions, thinking": (V1_COMPLETIONS, {"model": "sim-think", "prompt": "sky"}),
    "v1 completions, load": (V1_COMPLETIONS, {"model": "chain-a", "prompt": ""}),
    "responses": (RESPONSES, {"model": "chain-a", "input": "sky", "instructions": "be <brief>"}),
    "responses, reasoning": (
        RESPONSES,
        {"model": "sim-think", "input": "sky", "reasoning": {"effort": "low"}},
    ),
    "responses, only reasoning": (
        RESPONSES,
        {"model": "sim-think", "input": "sky", "max_output_tokens": 2},
    ),
    "responses, tools": (RESPONSES, {"model": "sim-think", "input": "sky", "tools": FLAT_TOOLS}),
    "responses, json": (RESPONSES, {"model": "chain-a", "input": "sky", "text": FORMAT}),
    "messages": (MESSAGES, {"model": "chain-a", "messages": ASKED, "max_tokens": 8}),
    "messages, thinking": (
        MESSAGES,
        {
            "model": "sim-think",
            "messages": ASKED,
            "max_tokens": 99,
            "thinking": {"type": "enabled", "budget_tokens": 9},
        },
    ),
    "messages, tools": (
        MESSAGES,
        {"model": "sim-think", "messages": ASKED, "max_tokens": 99, "tools": INPUT_TOOLS},
    ),
    "embed": ("/api/embed", {"model": "chain-embed", "input": ["sky", "sea"]}),
    "one embedding": ("/api/embeddings", {"model": "chain-embed", "prompt": "sky"}),
    "v1 embeddings": ("/v1/embeddings", {"model": "chain-embed", "input": "sky"}),
}


@pytest.fixture(scope="module")
def target() -> Iterator[SimulationProcess]:
    with SimulationProcess(demo=True, tokens_per_s=0, load_s=0, memory="64GiB") as process:
        yield process


@pytest.fixture(params=CASES.values(), ids=list(CASES))
def case(request: pytest.FixtureRequest) -> tuple[str, dict[str, object]]:
    found: tuple[str, dict[str, object]] = request.param
    return found


def streamed(target: SimulationProcess, endpoint: str, request: dict[str, object]) -> Answer:
    asked = stream_request(endpoint, json.dumps(request).encode())
    return call(target.url, endpoint, bytes(asked.body))


def whole(target: SimulationProcess, endpoint: str, request: dict[str, object]) -> Answer:
    return call(target.url, endpoint, json.dumps({**request, "stream": False}).encode())


def gathered(endpoint: str, answer: Answer, cuts: range = range(0)) -> Gathering:
    return fed(endpoint, in_pieces(answer.body, cuts), answer.content_type)


def test_the_gathered_body_is_that_of_the_call_without_streaming(
    target: SimulationProcess, case: tuple[str, dict[str, object]]
) -> None:
    expected = whole(target, *case)

    found = gathered(case[0], streamed(target, *case)).finish()

    assert masked(found) == masked(expected.body)


def test_its_usage_is_what_the_whole_body_says(
    target: SimulationProcess, case: tuple[str, dict[str, object]]
) -> None:
    by_whole = gathered(case[0], whole(target, *case))
    by_stream = gathered(case[0], streamed(target, *case))
    by_whole.finish()
    by_stream.finish()

    assert by_stream.usage.prompt_tokens == by_whole.usage.prompt_tokens
    assert by_stream.usage.output_tokens == by_whole.usage.output_tokens
    assert (by_stream.usage.load_s is None) == (by_whole.usage.load_s is None)


def test_one_byte_after_the_other_gives_the_same(
    target: SimulationProcess, case: tuple[str, dict[str, object]]
) -> None:
    answer = streamed(target, *case)

    slowly = gathered(case[0], answer, range(len(answer.body)))
    at_once = gathered(case[0], answer)

    assert slowly.finish() == at_once.finish()
    assert (slowly.pieces, slowly.usage) == (at_once.pieces, at_once.usage)


def test_a_stream_does_stream_and_its_pieces_are_its_tokens(target: SimulationProcess) -> None:
    endpoint, request = CASES["chat"]
    answer = streamed(target, endpoint, request)

    gathering = gathered(endpoint, answer)

    assert answer.content_type == "application/x-ndjson"
    assert gathering.pieces == 41
    gathering.finish()
    assert gathering.usage.output_tokens == 42
    assert gathering.usage.eval_s is not None
    assert 0 < gathering.usage.eval_s < 20
