"""OpenAI's Responses: the last event is the answer, in another order."""

import json

import pytest

from foreman.errors import TargetCut, TargetFailed
from tests.unit.core.gather.streams import events, fed

ENDPOINT = "/v1/responses"


def response(output: object, **more: object) -> dict[str, object]:
    return {"id": "resp_7", "model": "m", "output": output, "status": "completed", **more}


def ended(given: object, kind: str = "completed") -> bytes:
    return events(
        {"type": "response.created", "response": {"id": "resp_7", "output": []}},
        {"type": "response.output_text.delta", "delta": "a"},
        {"type": f"response.{kind}", "response": given},
    )


def test_what_goes_before_the_last_event_is_only_counted() -> None:
    item = {"content": [{"text": "a", "type": "output_text"}], "id": "msg_1", "type": "message"}
    gathering = fed(ENDPOINT, [ended(response([item], usage={"output_tokens": 1}, mood="calm"))])

    whole = json.loads(gathering.finish())
    assert gathering.pieces == 1
    assert gathering.usage.output_tokens == 1
    assert list(whole) == ["id", "status", "model", "output", "tools", "usage", "mood"]
    assert list(whole["output"][0]) == ["id", "type", "content"]
    assert list(whole["output"][0]["content"][0]) == ["type", "text"]


@pytest.mark.parametrize("output", [None, [], [{"type": "reasoning", "id": "rs_1"}]])
def test_an_answer_without_words_has_an_empty_message_as_a_whole_one_has(output: object) -> None:
    whole = json.loads(fed(ENDPOINT, [ended(response(output))]).finish())

    assert whole["output"][-1] == {
        "id": "msg_7",
        "type": "message",
        "status": "completed",
        "role": "assistant",
        "content": [{"type": "output_text", "text": "", "annotations": [], "logprobs": []}],
    }


def test_an_answer_that_is_a_call_has_no_message_beside_it() -> None:
    call = {"arguments": "{}", "name": "f", "type": "function_call", "id": "fc_1"}

    whole = json.loads(fed(ENDPOINT, [ended(response([call]))]).finish())

    assert [list(item) for item in whole["output"]] == [["id", "type", "name", "arguments"]]


def test_a_response_that_is_cut_by_a_limit_is_an_answer() -> None:
    incomplete = response([], status="incomplete", incomplete_details={"reason": "max"})

    gathering = fed(ENDPOINT, [ended(incomplete, "incomplete")])

    assert json.loads(gathering.finish())["status"] == "incomplete"


def test_a_made_image_can_be_had_alone() -> None:
    item = {"type": "image_generation_call", "id": "ig_1", "result": "R0lGODlh"}

    gathering = fed(ENDPOINT, [ended(response([item]))])

    assert [(i.content_type, i.extension) for i in gathering.images()] == [("image/gif", "gif")]


def test_a_stream_without_its_last_event_is_cut() -> None:
    gathering = fed(ENDPOINT, [events({"type": "response.output_text.delta", "delta": "a"})])

    with pytest.raises(TargetCut):
        gathering.finish()


@pytest.mark.parametrize(
    "event",
    [
        {"type": "response.failed", "response": {"error": {"code": "x", "message": "boom"}}},
        {"type": "error", "code": "x", "message": "boom", "param": None},
        {"type": "error", "error": {"type": "x", "message": "boom"}},
        {"error": {"message": "boom", "type": "api_error", "param": None, "code": "worker_lost"}},
    ],
)
def test_an_error_in_the_stream_is_the_targets_failure(event: object) -> None:
    with pytest.raises(TargetFailed, match=r"^boom$"):
        fed(ENDPOINT, [events({"type": "response.created"}, event)]).finish()


def test_a_response_that_failed_without_a_word_failed_all_the_same() -> None:
    with pytest.raises(TargetFailed, match="failed"):
        fed(ENDPOINT, [events({"type": "response.failed", "response": {}})]).finish()
