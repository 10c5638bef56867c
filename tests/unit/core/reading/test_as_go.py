"""The single rules of Go's JSON, each by its smallest body; the whole of it is compared with
Ollama's own types in tests/differential."""

import pytest

from foreman.core.bodies import Look, look
from foreman.errors import BodyTooComplex, RequestRefused

CHAT, GENERATE = "/api/chat", "/api/generate"


def options_of(body: bytes) -> object:
    looked = look(body, CHAT)
    return None if looked is None else dict(looked.runner_options)


@pytest.mark.parametrize(
    ("body", "model"),
    [
        (b'{"model":"m","model":null}', "m"),
        (b'{"model":null,"MODEL":"m"}', "m"),
        (b'{"model":"a\\ud83db"}', "a\ufffdb"),
        (b'{"model":"a\xffb\xe2\x82c"}', "a\ufffdb\ufffd\ufffdc"),
        (b'{"model":"\\ud83d\\ude00"}', "\N{GRINNING FACE}"),
        (b'{"mod\\u0065l":"m"}', "m"),
        (b'{"x":%b,"model":"m"}' % (b"9" * 5000), "m"),
        (b'{"x":1e400,"model":"m","format":1e400}', "m"),
        (b'{"x":%b,"model":"m"}' % (b"[" * 9_999 + b"]" * 9_999), "m"),
        (b'{"x":%b,"model":"m"}' % (b'{"a":' * 3000 + b"1" + b"}" * 3000), "m"),
    ],
)
def test_what_go_reads_is_read(body: bytes, model: str) -> None:
    assert look(body, CHAT) == Look(model, streams=True)


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"m","x":%b}' % (b"[" * 10_000 + b"]" * 10_000),
        b'{"model":"m","messages":[{"role":1}]}', b'{"model":"m","messages":{}}',
        b'{"model":"m","messages":[{"images":["no base64!"]}]}',
        b'{"model":"m","messages":[{"tool_calls":[{"function":{"arguments":"{}"}}]}]}',
        b'{"model":"m","think":"hard"}', b'{"model":"m","top_logprobs":1.0}',
        b'{"model":"m","stream":"false"}', b'{"model":"m","keep_alive":"soon"}',
        b'{"model":"m","keep_alive":1e400}', b'{"model":"m","keep_alive":"soon","keep_alive":0}',
        b'{"model":"m","tools":[{"function":{"parameters":{"properties":[]}}}]}',
        b'{"model":"m","options":{"other":1e400}}',
    ],
)  # fmt: skip
def test_what_go_cannot_decode_is_for_the_target_to_answer(body: bytes) -> None:
    assert look(body, CHAT) is None


@pytest.mark.parametrize(
    ("options", "read"),
    [
        (b'"options":{"num_ctx":2048},"options":{}', {"num_ctx": 2048}),
        (b'"options":{"num_ctx":1},"Options":{"num_gpu":2}', {"num_ctx": 1, "num_gpu": 2}),
        (b'"options":{"num_ctx":2048},"options":null', {}),
        (b'"options":{"num_ctx":1},"options":null,"options":{"num_gpu":2}', {"num_gpu": 2}),
        (b'"options":{"num_ctx":2048,"num_ctx":null}', {}),
        (b'"options":{"num_ctx":"x","num_ctx":1}', {"num_ctx": 1}),
        (b'"options":{"num_ctx":4096.9,"use_mmap":false}', {"num_ctx": 4096, "use_mmap": False}),
        (b'"shift":true,"shift":null', {}),
    ],
)
def test_options_are_joined_as_go_joins_maps(options: bytes, read: dict[str, object]) -> None:
    assert options_of(b'{"model":"m",%b}' % options) == read


@pytest.mark.parametrize("name", ["num_ctx", "num_gpu", "main_gpu", "num_batch", "seed"])
@pytest.mark.parametrize("value", [b"1e400", b'"2048"', b"[2048]", b"{}", b"true"])
def test_an_option_of_the_wrong_type_makes_no_residency(name: str, value: bytes) -> None:
    assert look(b'{"model":"m","options":{"%b":%b}}' % (name.encode(), value), CHAT) is None


@pytest.mark.parametrize("options", [b'"temperature":"1"', b'"use_mmap":1', b'"stop":["a",1]'])
def test_an_option_that_no_residency_depends_on_must_be_right_too(options: bytes) -> None:
    assert look(b'{"model":"m","options":{%b}}' % options, CHAT) is None


@pytest.mark.parametrize("value", [b"1e19", b"-1e19", b"9223372036854775808", b"1e300"])
def test_a_number_that_no_integer_holds_is_refused_by_foreman_itself(value: bytes) -> None:
    with pytest.raises(RequestRefused, match="num_ctx"):
        look(b'{"model":"m","options":{"num_ctx":%b}}' % value, CHAT)


@pytest.mark.parametrize("header", ["zstd", "gzip"])
def test_on_the_native_routes_no_encoding_is_looked_at(header: str) -> None:
    assert look(b'{"model":"m"}', CHAT, content_encoding=header) == Look("m", streams=True)


@pytest.mark.parametrize("endpoint", [CHAT, "/v1/chat/completions", "/v1/messages"])
@pytest.mark.parametrize("kind", ["multipart/form-data", "multipart/form-data; boundary=x", "x"])
def test_on_a_json_route_no_content_type_is_looked_at(endpoint: str, kind: str) -> None:
    looked = look(b'{"model":"m"}', endpoint, content_type=kind)

    assert looked == Look("m", streams=endpoint == CHAT)


def test_json_in_the_name_of_a_form_is_read_as_json_and_the_other_way_round() -> None:
    form = b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\nA\r\n--x--\r\n'
    both = b'{"model":"B"}' + form

    assert look(both, "/v1/completions", content_type="multipart/form-data; boundary=x") == (
        Look("B", streams=False)
    )
    assert look(b'{"model":"B"}', "/v1/audio/transcriptions") is None


@pytest.mark.parametrize("value", [b'"' + b"0" * 70_000 + b'"', b"1" * 9_000])
def test_a_needed_value_of_any_length_is_not_read(value: bytes) -> None:
    with pytest.raises(BodyTooComplex):
        look(b'{"model":"m","keep_alive":%b}' % value, GENERATE)


def test_a_field_that_is_named_a_thousand_times_is_not_read() -> None:
    with pytest.raises(BodyTooComplex, match="1000 times"):
        look(b"{" + b'"keep_alive":0,' * 1001 + b'"model":"m"}', GENERATE)
