"""The simulated Ollama answers as the real one that was recorded; and the comparison can fail."""

import dataclasses
from collections.abc import Iterator

import pytest

from foreman.simulation.process import SimulationProcess
from tests.golden_contract import EXCHANGES, Exchange, Recorded, assert_same, send

BY_NAME = {exchange.name: exchange for exchange in EXCHANGES}


@pytest.fixture(scope="module")
def recorded_server() -> Iterator[SimulationProcess]:
    """A server in the state of the recorded one: chain-a is loaded."""
    with SimulationProcess(tokens_per_s=0, load_s=0) as simulation:
        send(simulation.url, BY_NAME["chat-load"])
        yield simulation


def test_all_68_exchanges_are_read() -> None:
    assert len(EXCHANGES) == len(BY_NAME) == 68


@pytest.mark.parametrize("exchange", EXCHANGES, ids=lambda exchange: exchange.name)
def test_it_answers_as_the_recorded_server(
    recorded_server: SimulationProcess, exchange: Exchange
) -> None:
    assert_same(exchange, send(recorded_server.url, exchange))


@pytest.mark.parametrize("exchange", EXCHANGES, ids=lambda exchange: exchange.name)
def test_a_recorded_answer_is_the_same_as_itself(exchange: Exchange) -> None:
    assert_same(exchange, exchange.answer)


@pytest.mark.parametrize("exchange", EXCHANGES, ids=lambda exchange: exchange.name)
def test_another_status_is_noticed(exchange: Exchange) -> None:
    answer = dataclasses.replace(exchange.answer, status=exchange.answer.status + 1)

    with pytest.raises(AssertionError):
        assert_same(exchange, answer)


@pytest.mark.parametrize(
    "name", ["content-type", "content-length", "transfer-encoding", "allow", "location"]
)
def test_a_missing_header_is_noticed(name: str) -> None:
    exchange = next(e for e in EXCHANGES if name in e.answer.headers)
    headers = {key: value for key, value in exchange.answer.headers.items() if key != name}

    with pytest.raises(AssertionError):
        assert_same(exchange, dataclasses.replace(exchange.answer, headers=headers))


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("chat-unknown-model", "'nope'", '\\"nope\\"'),
        ("chat-default-streams", '"done":false', '"done": false'),
        ("chat-default-streams", '"done":false}\n', '"done":false}\n\n'),
        ("chat-default-streams", '"eval_count":42', '"eval_count":41'),
        ("chat-default-streams", '"role":"assistant","content"', '"content":"","role"'),
        ("chat-default-streams", '"total_duration":4', '"total_duration":0.4'),
        ("chat-default-streams", "Z", "+00:00"),
        ("chat-load", ',"done_reason":"load"', ""),
        ("generate-no-stream", '"context":[', '"context":[7,'),
        ("embed", "0.026781922", '"0.026781922"'),
        ("embed-batch", "0.026781922,", ""),
        ("tags", '"name":"tiny-c:latest"', '"name":"tiny-d:latest"'),
        ("tags", "2026-11-22T21:31:13.878282849Z", "2026-12-22T21:31:13.878282849Z"),
        ("v1-chat-stream", "data: [DONE]\n\n", ""),
        ("v1-chat-stream", '"finish_reason":null', '"finish_reason":""'),
        ("v1-chat-stream", '"id":"chatcmpl-651"', '"id":"chatcmpl-652"'),
        ("v1-models", '"id":"gemma2:2b"', '"id":"msg_1"'),
        ("v1-messages-stream", "event: message_stop\n", ""),
        ("v1-messages-stream", '"index":0', '"index":1'),
        ("v1-responses-stream", '"sequence_number":7', '"sequence_number":8'),
    ],
)
def test_a_changed_body_is_noticed(name: str, old: str, new: str) -> None:
    exchange = BY_NAME[name]
    assert old in exchange.answer.body
    body = exchange.answer.body.replace(old, new, 1)

    with pytest.raises((AssertionError, ValueError)):
        assert_same(exchange, _answer_with(exchange, body))


@pytest.mark.parametrize(
    "exchange", [e for e in EXCHANGES if e.answer.body], ids=lambda exchange: exchange.name
)
def test_a_body_without_its_last_half_is_noticed(exchange: Exchange) -> None:
    body = exchange.answer.body

    with pytest.raises((AssertionError, ValueError)):
        assert_same(exchange, _answer_with(exchange, body[: len(body) // 2]))


def _answer_with(exchange: Exchange, body: str) -> Recorded:
    headers = dict(exchange.answer.headers)
    if "content-length" in headers:
        headers["content-length"] = str(len(body.encode()))
    return dataclasses.replace(exchange.answer, body=body, headers=headers)
