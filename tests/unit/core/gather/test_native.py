"""Ollama's own dialect: what a simulated model does not say, and how its streams go wrong."""

import json
from typing import Any

import pytest

from foreman.errors import AnswerUnreadable, TargetCut, TargetFailed
from tests.unit.core.gather.streams import fed, lines

CHAT, GENERATE = "/api/chat", "/api/generate"
HEAD = {"model": "m", "created_at": "2026-11-22T21:53:25.5Z"}
LAST = {**HEAD, "message": {"role": "assistant", "content": ""}, "done": True}


def said(message: object, **more: object) -> dict[str, object]:
    return {**HEAD, "message": message, "done": False, **more}


def body(endpoint: str, *objects: object) -> Any:
    return json.loads(fed(endpoint, [lines(*objects)]).finish())


def call(name: str, index: int) -> dict[str, object]:
    function = {"index": index, "name": name, "arguments": {"b": 1, "a": 1e-7}}
    return {"id": f"call_{name}", "function": function}


def test_calls_of_several_lines_are_one_list_in_their_order() -> None:
    first, second = call("one", 0), call("two", 1)

    whole = body(
        CHAT,
        said({"role": "assistant", "content": "", "tool_calls": [first]}),
        said({"role": "assistant", "content": "", "tool_calls": [second]}),
        LAST,
    )

    assert whole["message"]["tool_calls"] == [first, second]
    assert list(whole["message"]) == ["role", "content", "tool_calls"]


def test_words_thoughts_and_log_probabilities_are_joined() -> None:
    whole = body(
        CHAT,
        said({"role": "assistant", "content": "", "thinking": "hm"}),
        said({"role": "assistant", "content": "a", "thinking": "m"}, logprobs=[{"token": "a"}]),
        said({"role": "assistant", "content": "b"}, logprobs=[{"token": "b"}]),
        {**LAST, "done_reason": "stop", "total_duration": 5},
    )

    assert whole["message"] == {"role": "assistant", "content": "ab", "thinking": "hmm"}
    assert whole["logprobs"] == [{"token": "a"}, {"token": "b"}]
    assert list(whole)[-3:] == ["done_reason", "logprobs", "total_duration"]


def test_the_last_line_gives_the_time_and_may_have_words_of_its_own() -> None:
    last = {**HEAD, "created_at": "2027-01-01T00:00:00Z", "response": "b", "done": True}

    whole = body(GENERATE, {**HEAD, "response": "a", "done": False}, last)

    assert (whole["created_at"], whole["response"]) == ("2027-01-01T00:00:00Z", "ab")


def test_a_number_keeps_its_spelling() -> None:
    line = b'{"model":"m","response":"","done":true,"x":[1e-7,1.50,-0.0,12345678901234567890]}\n'

    assert fed(GENERATE, [line]).finish() == line.strip()


def test_a_character_whose_halves_come_in_two_lines_is_one() -> None:
    gathering = fed(GENERATE, [lines({"response": "\ud83e"}, {"response": "\udd99"})])

    assert gathering.finish() == '{"response":"🦙"}'.encode()


def test_a_field_that_nobody_knows_survives_at_the_end() -> None:
    whole = body(CHAT, said({"role": "assistant", "content": "a", "mood": "calm"}, seed=7), LAST)

    assert whole["seed"] == 7
    assert list(whole)[-1] == "seed"
    assert whole["message"] == {"role": "assistant", "content": "a", "mood": "calm"}


def test_images_of_all_lines_are_kept_and_can_be_had_alone() -> None:
    gathering = fed(
        CHAT,
        [
            lines(
                said({"role": "assistant", "content": "", "images": ["iVBORw0KGgo="]}),
                said({"role": "assistant", "content": "", "images": ["/9j/4A=="]}),
                LAST,
            )
        ],
    )

    assert json.loads(gathering.finish())["message"]["images"] == ["iVBORw0KGgo=", "/9j/4A=="]
    assert [image.content_type for image in gathering.images()] == ["image/png", "image/jpeg"]


def test_a_made_image_is_kept_and_its_progress_is_not() -> None:
    gathering = fed(
        GENERATE,
        [
            lines(
                {**HEAD, "response": "", "done": False, "completed": 1, "total": 2},
                {**HEAD, "response": "", "done": False, "completed": 2, "total": 2},
                {**HEAD, "response": "", "done": True, "image": "iVBORw0KGgo="},
            )
        ],
    )

    whole = json.loads(gathering.finish())
    assert gathering.pieces == 2
    assert list(whole) == ["model", "created_at", "response", "done", "image"]
    assert [image.content for image in gathering.images()] == [b"\x89PNG\r\n\x1a\n"]


def test_a_stream_may_end_without_its_last_line() -> None:
    gathering = fed(CHAT, [lines(said({"role": "assistant", "content": "a"}))])

    assert json.loads(gathering.finish())["done"] is False
    assert not gathering.is_complete


def test_spaces_before_a_line_and_windows_line_ends_are_read_over() -> None:
    whole = json.loads(fed(GENERATE, [b'   {"response":"a"}\r\n \n\n{"response":"b"}']).finish())

    assert whole["response"] == "ab"


@pytest.mark.parametrize("before", [[], [said({"role": "assistant", "content": "a"})]])
def test_an_error_in_the_stream_is_known_at_once_and_is_the_targets_failure(
    before: list[object],
) -> None:
    gathering = fed(CHAT, [lines(*before, {"error": "runner <died>"})])

    assert gathering.error is not None
    assert gathering.error.message == "runner <died>"
    with pytest.raises(TargetFailed, match=r"^runner <died>$") as caught:
        gathering.finish()
    assert not caught.value.is_permanent


@pytest.mark.parametrize("sent", [b"", b"\n", b'{"response":"a"}\n{"resp', b'{"response":"a'])
def test_no_line_or_half_a_line_is_an_end_too_early(sent: bytes) -> None:
    gathering = fed(GENERATE, [sent])

    with pytest.raises(TargetCut):
        gathering.finish()


@pytest.mark.parametrize("line", [b"<html>\n", b"[1]\n", b"null\n", b'{"a":NaN}\n', b"[" * 9999])
def test_what_is_no_object_is_no_answer(line: bytes) -> None:
    with pytest.raises((AnswerUnreadable, TargetCut)):
        fed(GENERATE, [line]).finish()


def test_words_of_another_type_are_none() -> None:
    whole = body(CHAT, said("hello"), said({"content": 7, "tool_calls": "x", "images": {}}), LAST)

    assert whole["message"] == {"role": "assistant", "content": ""}
