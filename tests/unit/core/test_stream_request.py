"""What is sent so that a target streams."""

import json

import pytest

from foreman.core.stream_request import StreamRequest, stream_request
from foreman.errors import RequestRefused

NATIVE = ["/api/chat", "/api/generate", "/v1/responses", "/v1/messages"]
WITH_USAGE = ["/v1/chat/completions", "/v1/completions"]
WHOLE = ["/api/embed", "/api/embeddings", "/v1/embeddings"]


def asked(endpoint: str, request: object) -> StreamRequest:
    return stream_request(endpoint, json.dumps(request).encode())


def sent(endpoint: str, **request: object) -> object:
    return json.loads(bytes(asked(endpoint, request).body))


@pytest.mark.parametrize("endpoint", NATIVE)
@pytest.mark.parametrize("wish", [{}, {"stream": False}, {"stream": None}, {"STREAM": False}])
def test_the_target_is_told_to_stream_whatever_the_client_said(
    endpoint: str, wish: dict[str, object]
) -> None:
    request = asked(endpoint, {**wish, "model": " M "})

    (name,) = wish or ["stream"]
    assert json.loads(bytes(request.body)) == {"model": " M ", name: True}
    assert request.streams


def test_of_several_the_last_stream_is_changed_because_it_counts() -> None:
    body = b'{"stream":false,"a":[1, 2],"Stream":true,"stream" : false }'

    assert bytes(stream_request("/api/chat", body).body) == body.replace(b": false", b": true")


@pytest.mark.parametrize("endpoint", WITH_USAGE)
def test_a_dialect_that_keeps_its_usage_to_itself_is_asked_for_it(endpoint: str) -> None:
    request = asked(endpoint, {"model": "m", "stream": False})

    expected = {"model": "m", "stream": True, "stream_options": {"include_usage": True}}
    assert json.loads(bytes(request.body)) == expected


@pytest.mark.parametrize(
    "options",
    [
        {"include_usage": True, "x": 1},
        {"INCLUDE_USAGE": True, "x": 1},
        {"include_usage": True, "Include_Usage": False, "x": 1},
        {"include_usage": None, "x": 1},
        {"x": 1},
        {},
    ],
)
def test_the_usage_is_asked_for_whatever_the_client_said(options: dict[str, object]) -> None:
    request = asked(WITH_USAGE[0], {"Stream_Options": options})

    # The last spelling counts.
    assert includes_usage(bytes(request.body))
    assert json.loads(bytes(request.body))["Stream_Options"].get("x") == options.get("x")


def includes_usage(body: bytes) -> bool:
    """As Ollama reads it: every object of stream_options into one, each last value counts."""
    pairs = json.loads(body, object_pairs_hook=lambda pairs: pairs)
    options = [value for name, value in pairs if name.lower() == "stream_options"]
    values = [value for each in options for name, value in each if name.lower() == "include_usage"]
    return values[-1] is True


def test_several_stream_options_are_one_to_ollama() -> None:
    body = b'{"stream_options":{"include_usage":true},"stream_options":{"x":1}}'

    request = stream_request(WITH_USAGE[0], body)

    assert includes_usage(bytes(request.body))


def test_stream_options_that_are_none_are_replaced() -> None:
    assert sent(WITH_USAGE[0], stream_options=None) == {
        "stream": True,
        "stream_options": {"include_usage": True},
    }


@pytest.mark.parametrize("options", [7, "x", []])
def test_stream_options_of_another_type_are_refused_as_ollama_refuses_them(options: object) -> None:
    with pytest.raises(RequestRefused, match="stream_options"):
        asked(WITH_USAGE[0], {"stream_options": options})


@pytest.mark.parametrize("endpoint", WHOLE)
def test_an_embedding_is_sent_as_it_is(endpoint: str) -> None:
    body = b' {"model" : "m","input":"x", "stream":false}'

    request = stream_request(endpoint, body)

    assert bytes(request.body) is body
    assert not request.streams


def test_every_other_byte_stays_where_it_is() -> None:
    body = b' {"b": 1,\n"stream" :\tfalse, "a":{"stream":false},"c":"\xff\\ud83d"}'

    assert bytes(stream_request("/api/chat", body).body) == body.replace(b"\tfalse", b"\ttrue")


def test_a_field_that_is_missing_comes_first() -> None:
    body = b'{ "a":1}'

    assert bytes(stream_request("/api/chat", body).body) == b'{"stream":true, "a":1}'
    assert bytes(stream_request("/api/chat", b"{ }").body) == b'{"stream":true }'
    assert bytes(stream_request(WITH_USAGE[0], b"{}").body) == (
        b'{"stream":true,"stream_options":{"include_usage":true}}'
    )


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_a_number_that_json_has_not_is_refused(value: float) -> None:
    with pytest.raises(RequestRefused):
        asked("/api/chat", {"a": value})
