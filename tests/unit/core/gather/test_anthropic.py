"""Anthropic's Messages: blocks that are begun, filled and ended."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from foreman.errors import AnswerUnreadable, TargetCut, TargetFailed
from tests.unit.core.gather.streams import events, fed

Fields = Mapping[str, object]
ENDPOINT = "/v1/messages"
MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": []}
STOP = {"type": "message_stop"}


def started(**usage: int) -> object:
    return {"type": "message_start", "message": {**MESSAGE, "usage": usage}}


def block(index: int, begun: Fields, *deltas: Fields) -> list[object]:
    head = {"type": "content_block_start", "index": index, "content_block": begun}
    tail = {"type": "content_block_stop", "index": index}
    return [head, *(_delta(index, delta) for delta in deltas), tail]


def _delta(index: int, delta: Fields) -> object:
    return {"type": "content_block_delta", "index": index, "delta": delta}


def ended(reason: str = "end_turn", **usage: int) -> list[object]:
    delta = {"stop_reason": reason, "stop_sequence": None}
    return [{"type": "message_delta", "delta": delta, "usage": usage}, STOP]


def body(*pieces: object) -> Any:
    return json.loads(fed(ENDPOINT, [events(*pieces)]).finish())


def test_a_thought_has_its_signature_and_a_text_its_citations() -> None:
    whole = body(
        started(input_tokens=1),
        *block(
            0,
            {"type": "thinking", "thinking": "", "signature": ""},
            {"type": "thinking_delta", "thinking": "h"},
            {"type": "thinking_delta", "thinking": "m"},
            {"type": "signature_delta", "signature": "c2ln"},
        ),
        *block(
            1,
            {"type": "text", "text": "a"},
            {"type": "text_delta", "text": "b"},
            {"type": "citations_delta", "citation": {"url": "u"}},
        ),
        *ended(),
    )

    assert whole["content"] == [
        {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
        {"type": "text", "text": "ab", "citations": [{"url": "u"}]},
    ]


def test_the_input_of_a_tool_comes_in_parts_and_keeps_its_spelling() -> None:
    gathering = fed(
        ENDPOINT,
        [
            events(
                started(input_tokens=1),
                *block(
                    0,
                    {"type": "tool_use", "id": "t", "name": "f", "input": {}},
                    {"type": "input_json_delta", "partial_json": '{"z":1e-7,'},
                    {"type": "input_json_delta", "partial_json": '"a":"\\u003c"}'},
                ),
                *block(1, {"type": "tool_use", "id": "u", "name": "g", "input": {}}),
                *ended("tool_use"),
            )
        ],
    )

    found = gathering.finish()
    assert b'"name":"f","input":{"z":1e-7,"a":"\\u003c"}}' in found
    assert b'"name":"g","input":{}}' in found


def test_an_input_that_is_no_json_is_no_answer() -> None:
    delta = {"type": "input_json_delta", "partial_json": '{"a"'}
    gathering = fed(ENDPOINT, [events(started(), *block(0, {"type": "tool_use"}, delta), *ended())])

    with pytest.raises(AnswerUnreadable):
        gathering.finish()


def test_the_counts_of_the_end_replace_the_estimate_of_the_beginning() -> None:
    gathering = fed(
        ENDPOINT,
        [events(started(input_tokens=6, cached=2), *ended(input_tokens=39, output_tokens=8))],
    )

    assert json.loads(gathering.finish())["usage"] == {
        "input_tokens": 39,
        "cached": 2,
        "output_tokens": 8,
    }
    assert (gathering.usage.prompt_tokens, gathering.usage.output_tokens) == (39, 8)


def test_fields_come_in_ollamas_order_and_a_null_is_none() -> None:
    whole = body(started(input_tokens=1), *ended("max_tokens"))

    assert list(whole) == ["id", "type", "role", "model", "content", "stop_reason", "usage"]


def test_a_block_that_comes_whole_and_an_image_are_kept() -> None:
    source = {"type": "base64", "media_type": "image/x-own", "data": "AAEC"}
    found = {"type": "web_search_tool_result", "tool_use_id": "s", "content": [{"url": "u"}]}
    pieces = [started(), *block(0, found), *block(1, {"type": "image", "source": source}), *ended()]
    gathering = fed(ENDPOINT, [events(*pieces)])

    assert json.loads(gathering.finish())["content"] == [found, {"type": "image", "source": source}]
    assert [(i.content_type, i.content, i.extension) for i in gathering.images()] == [
        ("image/x-own", b"\0\1\2", "bin")
    ]


def test_pings_and_unknown_events_are_read_over() -> None:
    whole = body(started(), {"type": "ping"}, {"type": "later", "x": 1}, *ended())

    assert whole["content"] == []


def test_a_stream_that_just_stops_is_cut() -> None:
    text = {"type": "text_delta", "text": "b"}
    gathering = fed(ENDPOINT, [events(started(), *block(0, {"type": "text", "text": ""}, text))])

    assert gathering.pieces == 1
    with pytest.raises(TargetCut):
        gathering.finish()


def test_an_error_event_is_the_targets_failure() -> None:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "boom"}}
    gathering = fed(ENDPOINT, [events(started(), error)])

    assert gathering.error is not None
    assert gathering.error.kind == "overloaded_error"
    with pytest.raises(TargetFailed, match=r"^boom$"):
        gathering.finish()
