"""Where Ollama writes one thing in two ways, so does the simulation."""

import json
from collections.abc import Iterator

import pytest

from foreman.simulation.process import SimulationProcess
from tests.unit.simulation.client import ask, chat

PARAMETERS = {"type": "object", "properties": {"z": {"type": "string"}, "a": {"type": "string"}}}


@pytest.fixture(scope="module")
def target() -> Iterator[SimulationProcess]:
    with SimulationProcess(demo=True, tokens_per_s=0, load_s=0) as process:
        yield process


def events(text: str) -> list[str]:
    return [line[6:] for line in text.splitlines() if line.startswith("data: {")]


def test_log_probabilities_stand_before_the_metrics_of_a_chat_and_behind_those_of_a_generation(
    target: SimulationProcess,
) -> None:
    asked = {"stream": False, "logprobs": True, "options": {"num_predict": 2}}
    chatted = ask(target.url, "/api/chat", chat("chain-a", **asked)).json
    generated = ask(target.url, "/api/generate", {"model": "chain-a", "prompt": "x", **asked}).json

    assert list(chatted)[4:7] == ["done_reason", "logprobs", "total_duration"]
    assert list(generated)[-2:] == ["eval_duration", "logprobs"]


def test_a_text_completion_has_a_usage_of_nothing_before_its_own(
    target: SimulationProcess,
) -> None:
    request = {"model": "chain-a", "prompt": "x", "max_tokens": 2, "stream": True}
    asked = ask(
        target.url, "/v1/completions", {**request, "stream_options": {"include_usage": True}}
    )
    unasked = ask(target.url, "/v1/completions", request)

    totals = [json.loads(event)["usage"]["total_tokens"] for event in events(asked.text)]
    assert totals == [0, 0, 0, 22]
    assert '"usage"' not in unasked.text


def test_a_response_repeats_its_tools_with_all_their_fields_and_its_schema_as_it_came(
    target: SimulationProcess,
) -> None:
    schema = {"z": 1, "a": 2}
    request = {
        "model": "sim-tools",
        "input": "x",
        "tools": [{"name": "f", "type": "function", "parameters": PARAMETERS}],
        "text": {"format": {"schema": schema, "name": "n", "type": "json_schema"}},
        "reasoning": {"effort": "none"},
    }
    whole = ask(target.url, "/v1/responses", request).json
    last = json.loads(
        events(ask(target.url, "/v1/responses", {**request, "stream": True}).text)[-1]
    )

    assert list(whole["tools"][0]) == ["type", "name", "description", "strict", "parameters"]
    assert list(whole["tools"][0]["parameters"]) == ["properties", "type"]
    assert list(whole["text"]["format"]) == ["type", "name", "schema"]
    assert list(last["response"]["text"]["format"]) == ["name", "schema", "type"]
    assert list(last["response"]["text"]["format"]["schema"]) == ["z", "a"]
    assert whole["reasoning"] == {"effort": "none"}
    assert last["response"]["reasoning"] == {"effort": "none", "summary": None}


def test_a_text_completion_that_breaks_has_a_chunk_without_a_model(
    target: SimulationProcess,
) -> None:
    target.fault("error_in_stream", model="chain-a", after_tokens=1, times=1)
    request = {"model": "chain-a", "prompt": "x", "stream": True}

    told = [json.loads(event) for event in events(ask(target.url, "/v1/completions", request).text)]

    assert [event["model"] for event in told] == ["chain-a", ""]
