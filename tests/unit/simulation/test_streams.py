"""How answers go over the wire: chunks, pace, measured times, and clients that leave."""

import socket
import time

import pytest

from tests.unit.simulation.client import ask, asked, chat, connected, wait_for
from tests.unit.simulation.conftest import StartSimulation


def test_every_line_is_one_http_chunk(start: StartSimulation) -> None:
    simulation = start(load_s=0, tokens_per_s=0)

    _, rest = _raw(simulation.url, b'{"model":"chain-a","prompt":"sky"}').split(b"\r\n\r\n", 1)

    lines = []
    while rest:
        size, rest = rest.split(b"\r\n", 1)
        chunk, rest = rest[: int(size, 16)], rest[int(size, 16) + 2 :]
        lines.append(chunk)
    assert len(lines) == 42 + 1
    assert all(line.endswith(b"}\n") and line.count(b"\n") == 1 for line in lines[:-1])
    assert lines[-1] == b""


def test_http_1_0_gets_a_stream_that_ends_with_the_connection(start: StartSimulation) -> None:
    simulation = start(load_s=0, tokens_per_s=0)

    body = b'{"model":"chain-a","prompt":"sky"}'
    head, lines = _raw(simulation.url, body, version=b"1.0").split(b"\r\n\r\n", 1)

    assert b"Transfer-Encoding" not in head
    assert len(lines.splitlines()) == 42


def _raw(url: str, body: bytes, version: bytes = b"1.1") -> bytes:
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as client:
        head = b"POST /api/generate HTTP/%b\r\nHost: localhost\r\nConnection: close\r\n" % version
        client.sendall(head + b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        received = b""
        while piece := client.recv(65536):
            received += piece
        return received


@pytest.mark.alone
def test_the_pace_is_that_of_the_configuration(start: StartSimulation) -> None:
    simulation = start(load_s=0, tokens_per_s=200, tokens=61)

    began = time.monotonic()
    answer = ask(simulation.url, "/api/chat", chat("chain-a"))

    # 61 tokens at 200/s; a sleep a token would have been late by each timer's slack.
    assert 61 / 200 <= time.monotonic() - began < 61 / 200 + 0.3
    final = answer.lines[-1]
    assert final["eval_count"] == 61
    assert final["prompt_eval_duration"] + final["eval_duration"] <= final["total_duration"]
    # A first token that is late is not made up for by the others.
    assert final["eval_duration"] >= 0.9 * 60 / 200 * 1e9


@pytest.mark.parametrize(("limit", "lines", "reason"), [(100, 42, "stop"), (41, 42, "length")])
def test_num_predict_cuts_an_answer(
    start: StartSimulation, limit: int, lines: int, reason: str
) -> None:
    simulation = start(load_s=0, tokens_per_s=0)

    answer = ask(simulation.url, "/api/chat", chat("chain-a", options={"num_predict": limit})).lines

    assert (len(answer), answer[-1]["done_reason"]) == (lines, reason)


def test_a_longer_answer_repeats_the_words(start: StartSimulation) -> None:
    simulation = start(load_s=0, tokens_per_s=0, tokens=100)

    answer = ask(simulation.url, "/api/chat", chat("chain-a")).lines

    assert len(answer) == answer[-1]["eval_count"] == 100


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_frees_its_slot_although_nothing_is_written(
    start: StartSimulation, stream: bool
) -> None:
    simulation = start(load_s=0, tokens_per_s=0, slots=1)
    simulation.fault("stall_in_stream", after_tokens=3, times=1)

    body = chat("chain-a", stream=stream)
    with asked(simulation.url, "/api/chat", body, X_Foreman_Job_Id="7"):
        wait_for(lambda: simulation.state()["generating"] == {"chain-a": 1})

    (generation,) = wait_for(lambda: simulation.log("generation"))
    assert generation["ended"] == "client_gone"
    assert (generation["tokens"], generation["job_id"], generation["path"]) == (3, "7", "/api/chat")
    assert simulation.state()["busy_slots"] == {"chain-a": 0}


def test_a_client_that_leaves_a_running_stream_ends_it(start: StartSimulation) -> None:
    simulation = start(load_s=0, tokens_per_s=100, tokens=100_000)

    with asked(simulation.url, "/api/chat", chat("chain-a")) as connection:
        assert b"rayleigh" in connection.getresponse().readline()

    (generation,) = wait_for(lambda: simulation.log("generation"))
    assert generation["ended"] == "client_gone"


def test_a_client_that_does_not_read_holds_its_slot(start: StartSimulation) -> None:
    simulation = start(load_s=0, tokens_per_s=0, tokens=1_000_000, slots=1)

    with asked(simulation.url, "/api/chat", chat("chain-a")) as connection:
        connection.getresponse().readline()
        assert ask(simulation.url, "/api/version", method="GET").status == 200
        assert simulation.state()["busy_slots"] == {"chain-a": 1}

    (generation,) = wait_for(lambda: simulation.log("generation"))
    assert 0 < generation["tokens"] < 1_000_000


def test_a_connection_serves_one_request_after_another(start: StartSimulation) -> None:
    simulation = start(load_s=0, tokens_per_s=0)

    with connected(simulation.url) as connection:
        for _ in range(3):
            connection.request("POST", "/api/chat", body=b'{"model":"chain-a"}')
            assert b'"load"' in connection.getresponse().read()
            connection.request("GET", "/api/version")
            assert connection.getresponse().read()


def test_the_log_tells_when_and_how_much(start: StartSimulation) -> None:
    simulation = start(load_s=0, tokens_per_s=0)

    ask(simulation.url, "/v1/messages", {**chat("chain-a"), "max_tokens": 8}, X_Foreman_Job_Id="x")

    (entry,) = simulation.log("generation")
    assert entry["arrived"] <= entry["start"] <= entry["end"] <= entry["at"]
    assert (entry["tokens"], entry["ended"], entry["job_id"]) == (8, "done", "x")
    simulation.clear()
    assert simulation.log() == []
