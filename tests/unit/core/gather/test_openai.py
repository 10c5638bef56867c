"""OpenAI's older dialects: deltas, calls in parts, several choices, and their ends."""

import json
from typing import Any

import pytest

from foreman.errors import TargetCut, TargetFailed
from tests.unit.core.gather.streams import events, fed

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
HEAD = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 5, "model": "m"}
DONE = b"data: [DONE]\n\n"


def chunk(delta: object, reason: object = None, index: int = 0, **more: object) -> object:
    choice = {"index": index, "delta": delta, "finish_reason": reason, **more}
    return {**HEAD, "choices": [choice]}


def body(*chunks: object) -> Any:
    return json.loads(fed(CHAT, [events(*chunks, last=DONE)]).finish())


def called(index: int, **function: object) -> dict[str, object]:
    return {"index": index, "function": function}


def test_arguments_in_parts_are_joined_by_the_index_of_their_call() -> None:
    message = body(
        chunk({"role": "assistant", "content": None}),
        chunk({"tool_calls": [{"id": "a", "type": "function", **called(0, name="one")}]}),
        chunk({"tool_calls": [{"id": "b", "type": "function", **called(1, name="two")}]}),
        chunk({"tool_calls": [called(0, arguments='{"x"'), called(1, arguments="{}")]}),
        chunk({"tool_calls": [called(0, arguments=":1}")]}),
        chunk({}, "tool_calls"),
    )["choices"][0]["message"]

    calls = [
        {"id": "a", "index": 0, "type": "function"},
        {"id": "b", "index": 1, "type": "function"},
    ]
    calls[0]["function"] = {"name": "one", "arguments": '{"x":1}'}
    calls[1]["function"] = {"name": "two", "arguments": "{}"}
    assert message == {"role": "assistant", "content": "", "tool_calls": calls}
    assert list(message["tool_calls"][0]) == ["id", "index", "type", "function"]


def test_whole_calls_at_one_index_are_several_when_their_ids_differ() -> None:
    message = body(
        chunk({"tool_calls": [{"id": "a", **called(0, name="one", arguments="{}")}]}),
        chunk({"tool_calls": [{"id": "b", **called(0, name="two", arguments="{}")}]}),
        chunk({}, "tool_calls"),
    )["choices"][0]["message"]

    names = [call["function"]["name"] for call in message["tool_calls"]]
    assert names == ["one", "two"]


def test_reasoning_refusal_and_unknown_fields_of_a_delta_are_kept() -> None:
    message = body(
        chunk({"role": "assistant", "reasoning": "h"}),
        chunk({"reasoning": "m", "refusal": "I can"}),
        chunk({"refusal": "not", "mood": "calm"}, "stop"),
    )["choices"][0]["message"]

    assert message == {
        "role": "assistant",
        "content": "",
        "reasoning": "hm",
        "refusal": "I cannot",
        "mood": "calm",
    }


def test_several_choices_are_told_apart_and_come_in_the_order_of_their_indexes() -> None:
    choices = body(
        chunk({"content": "b"}, index=1, logprobs={"content": [{"token": "b"}]}),
        chunk({"content": "a"}, index=0),
        chunk({"content": "B"}, "length", index=1, logprobs={"content": [{"token": "B"}]}),
        chunk({}, "stop", index=0),
    )["choices"]

    assert [choice["message"]["content"] for choice in choices] == ["a", "bB"]
    assert [choice["finish_reason"] for choice in choices] == ["stop", "length"]
    assert choices[1]["logprobs"] == {"content": [{"token": "b"}, {"token": "B"}]}
    assert list(choices[1]) == ["index", "message", "finish_reason", "logprobs"]


def test_a_reason_stays_once_it_is_given() -> None:
    choice = body(chunk({"content": "a"}, "stop"), chunk({}, None))["choices"][0]

    assert choice["finish_reason"] == "stop"


def test_the_usage_comes_in_the_chunk_without_choices() -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    gathering = fed(
        CHAT,
        [
            events(
                chunk({"content": "a"}, "stop"),
                {**HEAD, "choices": [], "usage": usage, "service_tier": "gold"},
                last=DONE,
            )
        ],
    )

    whole = json.loads(gathering.finish())
    assert whole["usage"] == usage
    assert list(whole) == ["id", "object", "created", "model", "choices", "usage", "service_tier"]
    assert (gathering.usage.prompt_tokens, gathering.usage.output_tokens) == (3, 2)
    assert gathering.pieces == 1


def test_images_of_a_delta_are_kept_and_can_be_had_alone() -> None:
    url = {"type": "image_url", "image_url": {"url": "data:image/webp;base64,UklGRgAAAABXRUJQ"}}
    gathering = fed(CHAT, [events(chunk({"images": [url]}), chunk({}, "stop"), last=DONE)])

    assert json.loads(gathering.finish())["choices"][0]["message"]["images"] == [url]
    assert [(i.content_type, i.content) for i in gathering.images()] == [
        ("image/webp", b"RIFF\0\0\0\0WEBP")
    ]


def test_texts_of_several_completions_are_told_apart() -> None:
    def piece(index: int, text: str, reason: object = None) -> object:
        choice = {"text": text, "index": index, "finish_reason": reason}
        return {"id": "cmpl-1", "model": "m", "choices": [choice], "usage": {"prompt_tokens": 0}}

    pieces = [piece(0, "a"), piece(1, "b"), piece(0, "A", "stop"), piece(1, "", "length")]
    whole = json.loads(fed(COMPLETIONS, [events(*pieces, last=DONE)]).finish())

    assert whole["object"] == "text_completion"
    assert whole["choices"] == [
        {"text": "aA", "index": 0, "finish_reason": "stop"},
        {"text": "b", "index": 1, "finish_reason": "length"},
    ]


@pytest.mark.parametrize("endpoint", [CHAT, COMPLETIONS])
def test_a_stream_without_its_last_word_is_cut(endpoint: str) -> None:
    gathering = fed(endpoint, [events(chunk({"content": "a"}, "stop"))])

    assert not gathering.is_complete
    with pytest.raises(TargetCut):
        gathering.finish()


@pytest.mark.parametrize("endpoint", [CHAT, COMPLETIONS])
def test_the_last_word_needs_no_empty_line_after_it(endpoint: str) -> None:
    gathering = fed(endpoint, [events(chunk({"content": "a"}, "stop"), last=b"data: [DONE]")])

    assert gathering.finish()


@pytest.mark.parametrize("endpoint", [CHAT, COMPLETIONS])
def test_a_chunk_without_a_model_is_the_error_that_ollama_swallows(endpoint: str) -> None:
    lost = {**HEAD, "model": "", "choices": [{"index": 0, "delta": {}, "finish_reason": None}]}
    gathering = fed(endpoint, [events(chunk({"content": "a"}), lost)])

    assert gathering.error is not None
    with pytest.raises(TargetFailed, match="failed in the middle"):
        gathering.finish()


@pytest.mark.parametrize("error", ["boom", {"message": "boom", "type": "api_error", "code": None}])
def test_an_error_in_the_stream_has_the_targets_words(error: object) -> None:
    gathering = fed(CHAT, [events(chunk({"content": "a"}), {"error": error})])

    assert gathering.error is not None
    assert gathering.error.kind == ("api_error" if isinstance(error, dict) else "")
    with pytest.raises(TargetFailed, match=r"^boom$"):
        gathering.finish()
