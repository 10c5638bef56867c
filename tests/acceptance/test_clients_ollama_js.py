"""ollama-js under Node: it works against foreman by changing the host only."""

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
    pytest.mark.skipif(shutil.which("node") is None, reason="node is not on the PATH"),
    pytest.mark.timeout(240),  # the first test installs the client
]

SOURCE = Path(__file__).parent / "clients" / "js"
INSTALL = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]

MESSAGES = [{"role": "user", "content": QUESTION}]
TOOL = {
    "type": "function",
    "function": {
        "name": "paint",
        "description": "Paint the sky.",
        "parameters": {"type": "object", "properties": {"color": {"type": "string"}}},
    },
}
Start = Callable[..., Program]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Start:
    """Starts the program: `start("chat", url, **parameters)`."""
    folder = tmp_path_factory.mktemp("node") / "client"
    shutil.copytree(SOURCE, folder, ignore=shutil.ignore_patterns("node_modules"))
    done = subprocess.run(
        INSTALL,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode and os.environ.get("CI") == "true":
        pytest.fail(f"ollama-js is required in CI: {done.stdout}")
    if done.returncode:
        pytest.skip(f"ollama-js could not be installed: {done.stdout}")

    def start(method: str, url: str, **parameters: Any) -> Program:
        command = ["node", "client.mjs", method, url, json.dumps(parameters)]
        return Program(command, folder=folder)

    return start


def result(program: Program) -> Any:
    """What a call that does not stream gave."""
    with program:
        (event,) = program.rest()
    return event["result"]


def messages(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [event["part"]["message"] for event in events if "part" in event]


def said(events: list[dict[str, Any]]) -> str:
    return "".join(message["content"] for message in messages(events))


# Answers


def test_ollama_js_reads_a_token_while_the_model_still_speaks(
    start: Start, witness: Witness
) -> None:
    witness.hush(after_tokens=1)
    with start("chat", witness.url, model=CHAT, messages=MESSAGES, stream=True) as program:
        assert program.next()["part"]["message"]["content"] == WORDS[0]
        assert witness.is_speaking()
        witness.go_on()
        rest = program.rest()
    assert [message["content"] for message in messages(rest)] == [*WORDS[1:], ""]
    assert rest[-1]["part"]["done"] is True


def test_ollama_js_reads_a_whole_chat(start: Start, witness: Witness) -> None:
    answer = result(start("chat", witness.url, model=CHAT, messages=MESSAGES))
    assert (answer["message"]["content"], answer["done_reason"]) == (SAID, "stop")


def test_ollama_js_reads_generations_streamed_and_whole(start: Start, witness: Witness) -> None:
    with start("generate", witness.url, model=CHAT, prompt=QUESTION, stream=True) as program:
        parts = program.rest()
    assert [event["part"]["response"] for event in parts] == [*WORDS, ""]
    whole = result(start("generate", witness.url, model=CHAT, prompt=QUESTION))
    assert whole["response"] == SAID


def test_ollama_js_gets_embeddings_from_both_routes(start: Start, witness: Witness) -> None:
    many = result(start("embed", witness.url, model=EMBED, input=["sky", "sea"]))["embeddings"]
    one = result(start("embeddings", witness.url, model=EMBED, prompt="sky"))["embedding"]
    assert [len(vector) for vector in many] == [128, 128]
    assert one == pytest.approx(many[0], abs=1e-6)


def test_ollama_js_lists_shows_and_sees_what_is_loaded(start: Start, witness: Witness) -> None:
    result(start("generate", witness.url, model=CHAT, prompt=QUESTION))
    for method in ("list", "ps"):
        models = result(start(method, witness.url))["models"]
        assert f"{CHAT}:latest" in [model["name"] for model in models]
    assert "thinking" in result(start("show", witness.url, model=THINK))["capabilities"]
    assert result(start("version", witness.url))["version"]


@pytest.mark.parametrize("stream", [True, False])
def test_ollama_js_gets_a_tool_call(start: Start, witness: Witness, stream: bool) -> None:
    asked = {"model": TOOLS, "messages": MESSAGES, "tools": [TOOL], "stream": stream}
    with start("chat", witness.url, **asked) as program:
        first, *_ = program.rest()
    answer = first["part"] if stream else first["result"]
    (call,) = answer["message"]["tool_calls"]
    assert (call["function"]["name"], call["function"]["arguments"]) == ("paint", {"color": "blue"})


def test_ollama_js_reads_thoughts_before_words(start: Start, witness: Witness) -> None:
    asked = {"model": THINK, "messages": MESSAGES, "think": True, "stream": True}
    with start("chat", witness.url, **asked) as program:
        parts = program.rest()
    assert "".join(message["thinking"] for message in messages(parts[:6])) == THOUGHT
    assert said(parts[6:]) == SAID


# Errors


@pytest.mark.parametrize("stream", [True, False])
def test_ollama_js_throws_what_ollama_says_of_an_unknown_model(
    start: Start, witness: Witness, stream: bool
) -> None:
    asked = {"model": "unknown", "messages": MESSAGES, "stream": stream}
    with start("chat", witness.url, **asked) as program:
        (thrown,) = program.rest()
    assert thrown == {"error": "model 'unknown' not found", "name": "ResponseError", "status": 404}


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("cut", "connection"),
        ("half_line", "connection"),
        ("error_in_stream", "while running the model"),
    ],
)
def test_ollama_js_throws_when_the_target_fails_in_mid_stream(
    start: Start, witness: Witness, fault: str, told: str
) -> None:
    witness.simulation.fault(fault, after_tokens=3, times=1)
    with start("chat", witness.url, model=CHAT, messages=MESSAGES, stream=True) as program:
        *parts, last = program.rest()
    assert said(parts) == "".join(WORDS[:3])
    assert told in last["error"]


def test_ollama_js_throws_an_error_of_the_target_with_its_status(
    start: Start, witness: Witness
) -> None:
    witness.simulation.fault("error500", times=1)
    with start("generate", witness.url, model=CHAT, prompt=QUESTION) as program:
        (thrown,) = program.rest()
    assert (thrown["name"], thrown["status"]) == ("ResponseError", 500)


# Leaving


def test_ollama_js_stops_the_model_when_it_aborts_its_stream(
    start: Start, witness: Witness
) -> None:
    witness.hush(after_tokens=1)
    with start("chat", witness.url, model=CHAT, messages=MESSAGES, stream=True) as program:
        assert program.next()["part"]["message"]["content"] == WORDS[0]
        program.leave()
        (thrown,) = program.rest()
    assert thrown["name"] == "AbortError"
    witness.assert_stopped_by_departure()


@pytest.mark.parametrize("stream", [True, False])
def test_ollama_js_killed_in_the_queue_never_reaches_the_target(
    start: Start, witness: Witness, stream: bool
) -> None:
    # The library has nothing to abort before the first byte: here its process is what ends.
    asked = {"model": CHAT, "messages": MESSAGES, "stream": stream}
    with all_slots_held(witness), start("chat", witness.url, **asked) as program:
        witness.wait_for_job(JobState.QUEUED)
        program.kill()
        job = witness.wait_for_job(JobState.CANCELLED)
    witness.assert_never_reached_the_target(job)


# Waiting


def test_ollama_js_reads_a_stream_behind_keepalives(start: Start, long_wait: LongWait) -> None:
    def read() -> list[Any]:
        with start("chat", long_wait.url, model=CHAT, messages=MESSAGES, stream=True) as program:
            return program.rest()

    parts = long_wait.through(read)
    assert (said(parts), parts[-1]["part"]["done"]) == (SAID, True)


def test_ollama_js_reads_a_whole_answer_behind_keepalives(
    start: Start, long_wait: LongWait
) -> None:
    def read() -> list[Any]:
        with start("generate", long_wait.url, model=CHAT, prompt=QUESTION) as program:
            return program.rest()

    (event,) = long_wait.through(read)
    assert event["result"]["response"] == SAID


def test_ollama_js_throws_an_error_behind_keepalives(start: Start, long_wait: LongWait) -> None:
    def read() -> list[Any]:
        with start("chat", long_wait.url, model=CHAT, messages=MESSAGES, stream=True) as program:
            return program.rest()

    (thrown,) = long_wait.through_to_an_error(read)
    assert "while running the model" in thrown["error"]
