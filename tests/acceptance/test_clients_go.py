"""A Go program with a default bufio.Scanner and encoding/json: it reads as go-llm reads."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from foreman.core.states import JobState
from tests.acceptance.clients.long_wait import LongWait
from tests.acceptance.clients.program import Program
from tests.acceptance.clients.witness import (
    CHAT,
    EMBED,
    QUESTION,
    SAID,
    THINK,
    THOUGHT,
    TOOLS,
    WORDS,
    Witness,
    all_slots_held,
)

pytestmark = [
    pytest.mark.skipif(shutil.which("go") is None, reason="go is not on the PATH"),
    pytest.mark.timeout(240),  # the first build compiles Go's standard library
]

SOURCE = Path(__file__).parent / "clients" / "go"
# Only what is here: no module, no other toolchain is fetched.
OFFLINE = {
    "GOFLAGS": "-mod=mod -buildvcs=false",
    "GOPROXY": "off",
    "GOTOOLCHAIN": "local",
    "GOWORK": "off",
}
# The longest line a default Scanner takes, its newline included.
SCANNER_LIMIT_BYTES = 64 * 1024

MESSAGES = [{"role": "user", "content": QUESTION}]
TOOL = {
    "type": "function",
    "function": {
        "name": "paint",
        "parameters": {"type": "object", "properties": {"color": {"type": "string"}}},
    },
}
Start = Callable[..., Program]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Start:
    """Starts the program: `start("stream", url, path, **body)`."""
    folder = tmp_path_factory.mktemp("go")
    build = ["go", "build", "-o", str(folder / "client"), "."]
    subprocess.run(build, cwd=SOURCE, env=os.environ | OFFLINE, check=True)

    def start(mode: str, url: str, path: str, **body: Any) -> Program:
        return Program([str(folder / "client"), mode, url + path, json.dumps(body)], folder=folder)

    return start


def said(events: list[dict[str, Any]]) -> str:
    messages = [event["line"]["message"] for event in events if "line" in event]
    return "".join(message["content"] for message in messages)


# Answers


def test_go_reads_a_line_while_the_model_still_speaks(start: Start, witness: Witness) -> None:
    witness.hush(after_tokens=1)
    with start("stream", witness.url, "/api/chat", model=CHAT, messages=MESSAGES) as program:
        assert program.next() == {"status": 200}
        assert program.next()["line"]["message"]["content"] == WORDS[0]
        assert witness.is_speaking()
        witness.go_on()
        rest = program.rest()
    assert [event["line"]["message"]["content"] for event in rest] == [*WORDS[1:], ""]
    assert rest[-1]["line"]["done"] is True


def test_go_reads_a_generation_line_by_line(start: Start, witness: Witness) -> None:
    with start("stream", witness.url, "/api/generate", model=CHAT, prompt=QUESTION) as program:
        _, *lines = program.rest()
    assert [event["line"]["response"] for event in lines] == [*WORDS, ""]


def test_go_reads_a_whole_chat(start: Start, witness: Witness) -> None:
    asked = {"model": CHAT, "messages": MESSAGES, "stream": False}
    with start("whole", witness.url, "/api/chat", **asked) as program:
        status, answer = program.rest()
    assert status == {"status": 200}
    assert answer["body"]["message"]["content"] == SAID


def test_go_reads_a_last_line_of_almost_64_kib(start: Start, witness: Witness) -> None:
    # The last line tells a number for each character of the prompt: here nearly 64 KiB of them.
    prompt = "a" * 15_800
    with start("stream", witness.url, "/api/generate", model=CHAT, prompt=prompt) as program:
        *_, last = program.rest()
    assert last["line"]["done"] is True
    size = len(json.dumps(last["line"], separators=(",", ":")))
    assert 0.9 * SCANNER_LIMIT_BYTES < size < SCANNER_LIMIT_BYTES


def test_go_gets_embeddings(start: Start, witness: Witness) -> None:
    with start("whole", witness.url, "/api/embed", model=EMBED, input=["sky", "sea"]) as program:
        _, answer = program.rest()
    assert [len(vector) for vector in answer["body"]["embeddings"]] == [128, 128]


def test_go_gets_a_tool_call(start: Start, witness: Witness) -> None:
    asked = {"model": TOOLS, "messages": MESSAGES, "tools": [TOOL]}
    with start("stream", witness.url, "/api/chat", **asked) as program:
        _, first, _ = program.rest()
    (call,) = first["line"]["message"]["tool_calls"]
    assert (call["function"]["name"], call["function"]["arguments"]) == ("paint", {"color": "blue"})


def test_go_reads_thoughts_before_words(start: Start, witness: Witness) -> None:
    asked = {"model": THINK, "messages": MESSAGES, "think": True}
    with start("stream", witness.url, "/api/chat", **asked) as program:
        _, *lines = program.rest()
    thoughts, words = lines[:6], lines[6:]
    assert "".join(event["line"]["message"]["thinking"] for event in thoughts) == THOUGHT
    assert said(words) == SAID


# Errors


@pytest.mark.parametrize("mode", ["stream", "whole"])
def test_go_reads_what_ollama_says_of_an_unknown_model(
    start: Start, witness: Witness, mode: str
) -> None:
    asked = {"model": "unknown", "messages": MESSAGES, "stream": mode == "stream"}
    with start(mode, witness.url, "/api/chat", **asked) as program:
        status, error = program.rest()
    assert (status, error["error"]) == ({"status": 404}, "model 'unknown' not found")


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("cut", "connection"),
        ("half_line", "unexpected end of JSON input"),
        ("error_in_stream", "while running the model"),
    ],
)
def test_go_reads_an_error_when_the_target_fails_in_mid_stream(
    start: Start, witness: Witness, fault: str, told: str
) -> None:
    witness.simulation.fault(fault, after_tokens=3, times=1)
    with start("stream", witness.url, "/api/chat", model=CHAT, messages=MESSAGES) as program:
        _, *lines, last = program.rest()
    assert said(lines) == "".join(WORDS[:3])
    assert told in last["error"]


# Leaving


def test_go_stops_the_model_when_its_context_is_cancelled(start: Start, witness: Witness) -> None:
    witness.hush(after_tokens=1)
    with start("stream", witness.url, "/api/chat", model=CHAT, messages=MESSAGES) as program:
        assert program.next() == {"status": 200}
        assert program.next()["line"]["message"]["content"] == WORDS[0]
        program.leave()
        (end,) = program.rest()
    assert end["cancelled"] is True
    witness.assert_stopped_by_departure()


@pytest.mark.parametrize("mode", ["stream", "whole"])
def test_go_cancelled_in_the_queue_never_reaches_the_target(
    start: Start, witness: Witness, mode: str
) -> None:
    asked = {"model": CHAT, "messages": MESSAGES, "stream": mode == "stream"}
    with all_slots_held(witness), start(mode, witness.url, "/api/chat", **asked) as program:
        witness.wait_for_job(JobState.QUEUED)
        program.leave()
        (end,) = program.rest()
        job = witness.wait_for_job(JobState.CANCELLED)
    assert end["cancelled"] is True
    witness.assert_never_reached_the_target(job)


# Waiting


def test_go_reads_a_stream_behind_keepalives(start: Start, long_wait: LongWait) -> None:
    def read() -> list[Any]:
        with start("stream", long_wait.url, "/api/chat", model=CHAT, messages=MESSAGES) as program:
            return program.rest()

    status, *lines = long_wait.through(read)
    assert status == {"status": 200}
    assert (said(lines), lines[-1]["line"]["done"]) == (SAID, True)


def test_go_reads_a_whole_answer_behind_keepalives(start: Start, long_wait: LongWait) -> None:
    asked = {"model": CHAT, "messages": MESSAGES, "stream": False}

    def read() -> list[Any]:
        with start("whole", long_wait.url, "/api/chat", **asked) as program:
            return program.rest()

    _, answer = long_wait.through(read)
    assert answer["body"]["message"]["content"] == SAID


def test_go_reads_an_error_behind_keepalives(start: Start, long_wait: LongWait) -> None:
    def read() -> list[Any]:
        with start("stream", long_wait.url, "/api/chat", model=CHAT, messages=MESSAGES) as program:
            return program.rest()

    status, error = long_wait.through_to_an_error(read)
    assert status == {"status": 200}
    assert "while running the model" in error["error"]
