"""What is sent so that a target streams."""

import json

import pytest

from foreman.core.stream_request import stream_request
from foreman.errors import RequestRefused

NATIVE = ["/api/chat", "/api/generate", "/v1/responses", "/v1/messages"]
WITH_USAGE = ["/v1/chat/completions", "/v1/completions"]
WHOLE = ["/api/embed", "/api/embeddings", "/v1/embeddings"]


def sent(endpoint: str, **request: object) -> object:
    return json.loads(stream_request(endpoint, request).body)


@pytest.mark.parametrize("endpoint", NATIVE)
@pytest.mark.parametrize("asked", [{}, {"stream": False}, {"stream": None}, {"STREAM": False}])
def test_the_target_is_told_to_stream_whatever_the_client_said(
    endpoint: str, asked: dict[str, object]
) -> None:
    request = stream_request(endpoint, {**asked, "model": " M "})

    assert json.loads(request.body) == {"model": " M ", "stream": True}
    assert request.streams


@pytest.mark.parametrize("endpoint", WITH_USAGE)
def test_a_dialect_that_keeps_its_usage_to_itself_is_asked_for_it(endpoint: str) -> None:
    request = stream_request(endpoint, {"model": "m", "stream": False})

    asked = {"model": "m", "stream": True, "stream_options": {"include_usage": True}}
    assert json.loads(request.body) == asked
    assert not request.had_usage


@pytest.mark.parametrize(
    ("options", "had_usage"),
    [
        ({"include_usage": True, "x": 1}, True),
        ({"INCLUDE_USAGE": True, "x": 1}, True),
        ({"include_usage": True, "Include_Usage": False, "x": 1}, False),
        ({"x": 1}, False),
    ],
)
def test_it_is_remembered_whether_the_client_asked_for_the_usage(
    options: dict[str, object], had_usage: bool
) -> None:
    request = stream_request(WITH_USAGE[0], {"Stream_Options": options})

    assert request.had_usage is had_usage
    assert json.loads(request.body)["stream_options"] == {"x": 1, "include_usage": True}


@pytest.mark.parametrize("options", [None, 7, "x", []])
def test_stream_options_that_are_none_are_replaced(options: object) -> None:
    assert sent(WITH_USAGE[0], stream_options=options) == {
        "stream": True,
        "stream_options": {"include_usage": True},
    }


@pytest.mark.parametrize("endpoint", WHOLE)
def test_an_embedding_is_sent_as_it_is(endpoint: str) -> None:
    request = stream_request(endpoint, {"model": "m", "input": "x"})

    assert json.loads(request.body) == {"model": "m", "input": "x"}
    assert not request.streams


def test_the_fields_keep_their_order_and_the_request_is_not_touched() -> None:
    request: dict[str, object] = {"b": 1, "stream": False, "a": {"stream": False}}

    assert (
        stream_request("/api/chat", request).body == b'{"b":1,"a":{"stream":false},"stream":true}'
    )
    assert request == {"b": 1, "stream": False, "a": {"stream": False}}


def test_text_that_has_no_bytes_is_sent_escaped() -> None:
    assert stream_request("/api/chat", {"a": "é\ud83d"}).body == (
        b'{"a":"\\u00e9\\ud83d","stream":true}'
    )


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_a_number_that_json_has_not_is_refused(value: float) -> None:
    with pytest.raises(RequestRefused):
        stream_request("/api/chat", {"a": value})
