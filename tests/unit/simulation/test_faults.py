"""Every fault does what its name says, to whom its rule says, and as often."""

import http.client
import json

import pytest

from foreman.simulation.process import SimulationProcess
from tests.unit.simulation.client import ask, ask_later, asked, chat, connected, wait_for
from tests.unit.simulation.conftest import StartSimulation

BROKEN = "an error was encountered while running the model: unexpected EOF"


@pytest.fixture
def simulation(start: StartSimulation) -> SimulationProcess:
    return start(load_s=0, tokens_per_s=0)


def read_lines(connection: http.client.HTTPConnection) -> list[bytes]:
    """The lines of a stream until it ends or breaks; the last may be half a one."""
    lines = []
    answer = connection.getresponse()
    try:
        while line := answer.readline():
            lines.append(line)
    except (ConnectionResetError, http.client.IncompleteRead):
        pass
    return lines


def test_error500_answers_an_error_so_many_times(simulation: SimulationProcess) -> None:
    simulation.fault("error500", times=2)

    answers = [ask(simulation.url, "/api/chat", chat("chain-a")) for _ in range(3)]

    assert [answer.status for answer in answers] == [500, 500, 200]
    assert answers[0].json == {"error": BROKEN}
    assert [e["ended"] for e in simulation.log("generation")] == ["fault", "fault", "done"]


def test_a_fault_meets_only_its_model(simulation: SimulationProcess) -> None:
    simulation.fault("error500", model="chain-b")

    assert ask(simulation.url, "/api/chat", chat("chain-a")).status == 200
    assert ask(simulation.url, "/api/chat", chat("CHAIN-B:latest")).status == 500


def test_a_fault_meets_only_its_path(simulation: SimulationProcess) -> None:
    simulation.fault("error500", path="/api/tags")

    assert ask(simulation.url, "/api/tags", method="GET").status == 500
    assert ask(simulation.url, "/api/ps", method="GET").status == 200
    assert ask(simulation.url, "/api/chat", chat("chain-a")).status == 200


def test_cut_before_resets_the_connection(simulation: SimulationProcess) -> None:
    simulation.fault("cut_before")

    with (
        asked(simulation.url, "/api/chat", chat("chain-a")) as connection,
        pytest.raises(ConnectionError),
    ):
        connection.getresponse()


@pytest.mark.parametrize("after_tokens", [1, 5, 41])
def test_cut_resets_after_so_many_lines(simulation: SimulationProcess, after_tokens: int) -> None:
    simulation.fault("cut", after_tokens=after_tokens)

    with asked(simulation.url, "/api/chat", chat("chain-a")) as connection:
        assert len(read_lines(connection)) == after_tokens

    (generation,) = simulation.log("generation")
    assert (generation["ended"], generation["tokens"]) == ("fault", after_tokens)


def test_cut_of_a_whole_answer_leaves_none(simulation: SimulationProcess) -> None:
    simulation.fault("cut", after_tokens=5)

    with (
        asked(simulation.url, "/api/chat", chat("chain-a", stream=False)) as connection,
        pytest.raises(ConnectionError),
    ):
        connection.getresponse()


def test_half_line_ends_in_the_middle_of_a_line(simulation: SimulationProcess) -> None:
    simulation.fault("half_line", after_tokens=2)

    with asked(simulation.url, "/api/chat", chat("chain-a")) as connection:
        lines = read_lines(connection)

    assert [line.endswith(b"}\n") for line in lines] == [True, True, False]
    assert lines[2].startswith(b'{"model":"chain-a"')


def test_half_line_of_a_whole_answer_is_shorter_than_announced(
    simulation: SimulationProcess,
) -> None:
    simulation.fault("half_line")

    with asked(simulation.url, "/api/chat", chat("chain-a", stream=False)) as connection:
        answer = connection.getresponse()
        with pytest.raises(http.client.IncompleteRead):
            answer.read()


def test_stall_before_holds_the_slot_and_ends_when_cleared(simulation: SimulationProcess) -> None:
    simulation.fault("stall_before", times=1)

    waiting = ask_later(simulation.url, "/api/chat", chat("chain-a"))
    wait_for(lambda: simulation.state()["generating"] == {"chain-a": 1})
    simulation.clear()

    assert waiting.result().status == 200


def test_a_stall_ends_after_its_seconds(simulation: SimulationProcess) -> None:
    simulation.fault("stall_in_stream", after_tokens=3, seconds=0.05)

    answer = ask(simulation.url, "/api/chat", chat("chain-a")).lines

    assert len(answer) == 42
    assert answer[-1]["total_duration"] >= 0.05e9


def test_stall_in_stream_comes_after_so_many_lines(simulation: SimulationProcess) -> None:
    simulation.fault("stall_in_stream", after_tokens=3)

    with asked(simulation.url, "/api/chat", chat("chain-a")) as connection:
        answer = connection.getresponse()
        first = [json.loads(answer.readline())["message"]["content"] for _ in range(3)]
        simulation.clear()
        rest = answer.read().splitlines()

    assert first == [" rayleigh", " scatter", " atmosphere"]
    assert len(rest) == 42 - 3


def test_a_wedge_hangs_generation_while_lists_stay_green(simulation: SimulationProcess) -> None:
    ask(simulation.url, "/api/chat", {"model": "chain-a"})
    simulation.fault("wedge")

    waiting = [
        ask_later(simulation.url, path, chat("chain-a")) for path in ("/api/chat", "/api/chat")
    ]
    for path in ("/api/tags", "/api/ps", "/api/version", "/"):
        assert ask(simulation.url, path, method="GET").status == 200
    assert not any(job.done() for job in waiting)

    simulation.clear()
    assert [job.result().status for job in waiting] == [200, 200]


def test_a_client_may_leave_a_wedge(simulation: SimulationProcess) -> None:
    simulation.fault("wedge")

    with asked(simulation.url, "/api/chat", chat("chain-a")):
        pass

    (generation,) = wait_for(lambda: simulation.log("generation"))
    assert (generation["ended"], generation["start"]) == ("client_gone", None)


@pytest.mark.parametrize(
    ("path", "last"),
    [
        ("/api/chat", json.dumps({"error": BROKEN}, separators=(",", ":")) + "\n"),
        ("/v1/chat/completions", '"model":"","system_fingerprint":"fp_ollama","choices":'),
        ("/v1/messages", '"text":" scatter"}}\n\n'),
    ],
)
def test_an_error_in_a_stream_is_told_as_the_dialect_tells_it(
    simulation: SimulationProcess, path: str, last: str
) -> None:
    simulation.fault("error_in_stream", after_tokens=2)

    answer = ask(simulation.url, path, chat("chain-a", stream=True, max_tokens=30))

    assert answer.status == 200
    assert last in answer.text[-len(last) - 200 :]
    assert "[DONE]" not in answer.text
    assert "message_stop" not in answer.text


def test_an_error_before_the_first_line_has_its_status(simulation: SimulationProcess) -> None:
    simulation.fault("error_in_stream")

    assert ask(simulation.url, "/api/chat", chat("chain-a")).status == 500


def test_refuse_closes_the_port_and_opens_it_again(simulation: SimulationProcess) -> None:
    with connected(simulation.url) as idle:
        idle.request("GET", "/api/version")
        idle.getresponse().read()
        simulation.fault("refuse", seconds=2)

        assert idle.sock.recv(1) == b""
        with pytest.raises(ConnectionRefusedError):
            ask(simulation.url, "/api/version", method="GET")

    assert wait_for(lambda: _is_up(simulation))


def test_a_stream_outlives_the_refusal_of_others(simulation: SimulationProcess) -> None:
    simulation.fault("stall_in_stream", after_tokens=1, seconds=1.5)

    with asked(simulation.url, "/api/chat", chat("chain-a")) as connection:
        wait_for(lambda: simulation.state()["generating"])
        simulation.fault("refuse", seconds=0.1)
        assert len(read_lines(connection)) == 42

    assert wait_for(lambda: _is_up(simulation))


def _is_up(simulation: SimulationProcess) -> bool:
    try:
        return ask(simulation.url, "/api/version", method="GET").status == 200
    except ConnectionError:
        return False


@pytest.mark.parametrize("rule", [{"kind": "nonsense"}, {"kind": "cut", "whne": 1}, {}])
def test_a_rule_that_is_wrong_is_refused(simulation: SimulationProcess, rule: object) -> None:
    assert ask(simulation.url, "/_sim/faults", rule).status == 400
