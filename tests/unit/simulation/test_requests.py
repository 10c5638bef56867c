"""How requests are read: Go's leniency, Ollama's names, its refusals; and what gin says."""

from collections.abc import Iterator

import pytest
import zstandard

from foreman.simulation.ask import FOREVER, keep_alive_s
from foreman.simulation.decode import Refused, read_fields
from foreman.simulation.names import parse_name
from foreman.simulation.process import SimulationProcess
from tests.unit.simulation.client import Answer, ask, chat, connected


@pytest.fixture(scope="module")
def simulation() -> Iterator[SimulationProcess]:
    with SimulationProcess(load_s=0, tokens_per_s=0) as simulation:
        yield simulation


def read(body: bytes) -> dict[str, object]:
    types = {"model": "string", "messages": "[]api.Message", "stream": "bool"}
    return read_fields(body, struct="api.ChatRequest", types=types, empty="missing request body")


@pytest.mark.parametrize(
    ("body", "model"),
    [
        (b'{"model":"a"}', "a"),
        (b' \n{"MODEL":"a"} trailing', "a"),
        (b'{"model":"a","model":"b"}', "b"),
        (b'{"Model":"a","model":"b"}', "b"),
        (b'{"model":"a","Model":"b"}', "b"),
        (b'{"model":"a","extra":[1,{"x":null}]}', "a"),
        (b'{"model":"a"}{"model":"b"}', "a"),
        (rb'{"model":"a\ud83d b"}', "a\ufffd b"),
        (rb'{"model":"\uD83D\uDE00"}', "\U0001f600"),
    ],
)
def test_a_body_is_read_as_go_reads_it(body: bytes, model: str) -> None:
    assert read(body)["model"] == model


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "missing request body"),
        (b" \n", "missing request body"),
        (b"{nope", "invalid character 'n' looking for beginning of object key string"),
        (b"nope", "invalid character 'n' looking for beginning of value"),
        (b"NaN", "invalid character 'N' looking for beginning of value"),
        (b'{"model" 1}', "invalid character '1' after object key"),
        (b'{"model":"a" 1}', "invalid character '1' after object key:value pair"),
        (b'{"messages":[1 2]}', "invalid character '2' after array element"),
        (b'{"model":"a', "unexpected EOF"),
        (b'{"model":', "unexpected EOF"),
        (b"[1]", "json: cannot unmarshal array into Go value of type api.ChatRequest"),
        (
            b'{"model":5}',
            "json: cannot unmarshal number into Go struct field ChatRequest.model of type string",
        ),
        (
            b'{"stream":"x"}',
            "json: cannot unmarshal string into Go struct field ChatRequest.stream of type bool",
        ),
        (
            b'{"messages":"x"}',
            "json: cannot unmarshal string into Go struct field ChatRequest.messages "
            "of type []api.Message",
        ),
    ],
)
def test_a_bad_body_is_refused_in_go_words(body: bytes, message: str) -> None:
    with pytest.raises(Refused) as refused:
        read(body)

    assert (refused.value.status, refused.value.message) == (400, message)


@pytest.mark.parametrize(
    "name",
    [
        "m",
        "M",
        " m ",
        "m:latest",
        "m:LATEST",
        "library/m",
        "registry.ollama.ai/library/m:latest",
        "m:local",
        "https://registry.ollama.ai/library/m",
    ],
)
def test_all_these_mean_the_same_model(name: str) -> None:
    assert parse_name(name).key == "registry.ollama.ai/library/m:latest"


@pytest.mark.parametrize("name", ["", "a b", "-m", "m:", "m:a/b c", "a.b/m", "m" * 81])
def test_all_these_are_no_names(name: str) -> None:
    assert not parse_name(name).is_valid


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        (0, 0.0),
        (1.5, 1.5),
        ("10s", 10.0),
        ("1h30m", 5400.0),
        ("250ms", 0.25),
        ("1.5h", 5400.0),
        ("0", 0.0),
        (-1, FOREVER),
        ("-1m", FOREVER),
    ],
)
def test_a_keep_alive_is_a_number_or_a_duration(value: object, seconds: float | None) -> None:
    assert keep_alive_s(value) == seconds


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("-1", 'time: missing unit in duration "-1"'),
        ("300", 'time: missing unit in duration "300"'),
        ("", 'time: invalid duration ""'),
        ("abc", 'time: invalid duration "abc"'),
        ("5x", 'time: unknown unit "x" in duration "5x"'),
        (True, "Unsupported type: 'bool'"),
    ],
)
def test_a_keep_alive_that_is_neither_is_refused(value: object, message: str) -> None:
    with pytest.raises(Refused) as refused:
        keep_alive_s(value)

    assert (refused.value.status, refused.value.message) == (400, message)


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (chat(""), 400, "model is required"),
        (chat("a b"), 400, "model is required"),
        (chat("chain-a", options={"temperature": "hot"}), 500, "of type float32"),
        (chat("chain-a", options={"stop": "x"}), 500, 'option "stop" must be of type array'),
        (chat("chain-a", options={"use_mmap": 1}), 500, "must be of type boolean"),
        (chat("chain-a", options={"num_ctx": True}), 500, "must be of type integer"),
        (chat("chain-a", format="yaml"), 500, "invalid format"),
        (chat("chain-a", think="deeply"), 400, "invalid think value"),
        (chat("chain-a", logprobs=True, top_logprobs=21), 400, "between 0 and 20"),
    ],
)
def test_a_chat_that_cannot_be_is_refused(
    simulation: SimulationProcess, body: object, status: int, message: str
) -> None:
    answer = ask(simulation.url, "/api/chat", body)

    assert answer.status == status
    assert message in answer.json["error"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"messages": [{"role": "user", "content": "x"}], "max_tokens": 1}, "model is required"),
        (chat("chain-a"), "max_tokens is required and must be positive"),
        ({"model": "chain-a", "max_tokens": 1}, "messages is required"),
    ],
)
def test_a_message_needs_its_three_parts(
    simulation: SimulationProcess, body: object, message: str
) -> None:
    answer = ask(simulation.url, "/v1/messages", body)

    assert (answer.status, answer.json["error"]["message"]) == (400, message)


def test_unknown_options_fields_and_content_types_are_ignored(
    simulation: SimulationProcess,
) -> None:
    body = chat("chain-a", stream=False, options={"nonsense": []}, nonsense=1)

    answer = ask(simulation.url, "/api/chat", body, Content_Type="text/plain")

    assert answer.status == 200


def test_a_chunked_body_is_read(simulation: SimulationProcess) -> None:
    with connected(simulation.url) as connection:
        pieces = [b'{"model":', b'"chain-a"}']
        connection.request("POST", "/api/chat", body=iter(pieces), encode_chunked=True)
        assert connection.getresponse().status == 200


def test_v1_takes_zstd_bodies(simulation: SimulationProcess) -> None:
    body = b'{"model":"chain-a","messages":[{"role":"user","content":"x"}]}'
    packed = zstandard.ZstdCompressor().compress(body)

    answer = ask(simulation.url, "/v1/chat/completions", packed, Content_Encoding="zstd")

    assert answer.status == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "location"),
    [
        ("GET", "/api/tags/", 301, "/api/tags"),
        ("POST", "/api/chat/", 307, "/api/chat"),
        ("GET", "//api/tags", 307, "/api/tags"),
        ("GET", "/nothing/", 404, None),
    ],
)
def test_a_slash_too_many_is_redirected(
    simulation: SimulationProcess, method: str, path: str, status: int, location: str | None
) -> None:
    with connected(simulation.url) as connection:
        connection.request(method, path)
        answer = connection.getresponse()

        assert (answer.status, answer.getheader("Location")) == (status, location)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "localhost:11434"}, 200),
        ({"Host": "my.internal"}, 200),
        ({"Host": "[::1]:11434"}, 200),
        ({"Host": "example.org"}, 403),
        ({"Origin": "http://localhost:3000"}, 200),
        ({"Origin": "app://x"}, 200),
        ({"Origin": "https://example.org"}, 403),
    ],
)
def test_only_local_hosts_and_origins_are_answered(
    simulation: SimulationProcess, headers: dict[str, str], status: int
) -> None:
    answer = ask(simulation.url, "/api/tags", method="GET", **headers)

    assert answer.status == status
    assert answer == Answer(403, "") or status == 200


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", {**chat("chain-a"), "stream_options": 1}),
        ("/v1/chat/completions", {**chat("chain-a"), "max_tokens": "many"}),
        ("/v1/responses", {"model": "chain-a", "input": 5}),
        ("/v1/messages", {**chat("chain-a"), "max_tokens": 5, "thinking": "hard"}),
        ("/v1/embeddings", {"model": "chain-embed", "input": [1, 2]}),
    ],
)
def test_a_field_of_a_wrong_type_is_refused_in_every_dialect(
    simulation: SimulationProcess, path: str, body: object
) -> None:
    answer = ask(simulation.url, path, body)

    assert answer.status == 400
    assert answer.json["error"]["type"] == "invalid_request_error"


def test_a_request_that_breaks_the_server_gets_an_empty_500(simulation: SimulationProcess) -> None:
    body = {"model": "chain-a", "max_tokens": 5, "messages": [5]}

    assert ask(simulation.url, "/v1/messages", body) == Answer(500, "")
