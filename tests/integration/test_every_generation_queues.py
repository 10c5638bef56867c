"""What a real Ollama runs as a generation is a job here, however its body is written.

On one broker: nothing of it depends on which.
"""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest

from foreman.simulation.process import SimulationProcess
from tests.servers import PostgresServer
from tests.stack import Stack

CHAT, GENERATE, V1_CHAT = "/api/chat", "/api/generate", "/v1/chat/completions"
MESSAGES = b'"messages":[{"role":"user","content":"hi"}]'
SHORT = b'"options":{"num_predict":1},"stream":false'
DEEP = b"[" * 3000 + b"]" * 3000
FORM = {"Content-Type": "multipart/form-data"}
FORM_WITH_BOUNDARY = {"Content-Type": "multipart/form-data; boundary=edge"}


class Ground:
    """A foreman over one simulated Ollama, for all tests of this module."""

    def __init__(self, stack: Stack, ollama: SimulationProcess) -> None:
        self.stack = stack
        self.ollama = ollama
        self._known = 0

    def start_over(self) -> None:
        self._known = len(self.stack.jobs())
        self.ollama.clear()

    def new_jobs(self) -> list[dict[str, Any]]:
        return self.stack.jobs()[self._known :]


@pytest.fixture(scope="module")
def shared(
    postgres: PostgresServer, template_url: str, new_broker_url: Callable[[str], str]
) -> Iterator[Ground]:
    with ExitStack() as opened:
        ollama = opened.enter_context(SimulationProcess(tokens_per_s=0, load_s=0.1))
        stack = Stack(
            database_url=postgres.create_database(template_url),
            broker_url=new_broker_url("redis"),
            targets=f"gpu={ollama.url}",
        )
        yield Ground(opened.enter_context(stack), ollama)


@pytest.fixture
def ground(shared: Ground) -> Ground:
    shared.start_over()
    return shared


@pytest.mark.parametrize(
    ("path", "body", "headers"),
    [
        (CHAT, b'{"model":"chain-a",%b,%b}' % (MESSAGES, SHORT), {"Content-Encoding": "zstd"}),
        (CHAT, b'{"model":"chain-a",%b,%b}' % (MESSAGES, SHORT), FORM),
        (V1_CHAT, b'{"model":"chain-a",%b}' % MESSAGES, FORM),
        (V1_CHAT, b'{"model":"chain-a",%b}' % MESSAGES, FORM_WITH_BOUNDARY),
        (CHAT, b'{"model":"chain-a","model":null,%b,%b}' % (MESSAGES, SHORT), {}),
        (CHAT, b'{"model":"chain-a","x":%b,%b,%b}' % (b"9" * 5000, MESSAGES, SHORT), {}),
        (CHAT, b'{"model":"chain-a","x":%b,%b,%b}' % (DEEP, MESSAGES, SHORT), {}),
        (V1_CHAT, b'{"model":"chain-a","keep_alive":0,%b}' % MESSAGES, {}),
        ("/v1/completions", b'{"model":"chain-a","prompt":"","keep_alive":0}', {}),
        (GENERATE, b'{"model":"chain-a","prompt":"x","messages":[],"keep_alive":0,%b}' % SHORT, {}),
    ],
)
def test_a_generation_is_a_job(
    ground: Ground, path: str, body: bytes, headers: dict[str, str]
) -> None:
    answer = ground.stack.post(path, body, headers=headers)

    assert answer.headers.get("X-Foreman-Job-Id"), answer.body
    assert [job["model"] for job in ground.new_jobs()] == ["chain-a:latest"]


@pytest.mark.parametrize(
    "part",
    [
        b'Content-Disposition: form-data; name="model"\r\n\r\nchain-a',
        b'Content-Disposition: form-data;\r\n\tname="model"\r\n\r\nchain-a',
        b'Content-Disposition: form-data; name="model"\r\n'
        b"Content-Transfer-Encoding: quoted-printable\r\n\r\nchain=2D=\r\na",
    ],
    ids=["plain", "folded", "quoted-printable"],
)
def test_a_transcription_is_a_job_however_its_form_is_written(ground: Ground, part: bytes) -> None:
    file = b'Content-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\nRIFF'
    body = b"--edge\r\n" + file + b"\r\n--edge\r\n" + part + b"\r\n--edge--\r\n"

    answer = ground.stack.post("/v1/audio/transcriptions", body, headers=FORM_WITH_BOUNDARY)

    assert answer.status == 200, answer.body
    assert [job["model"] for job in ground.new_jobs()] == ["chain-a:latest"]


def test_json_with_the_content_type_of_a_form_is_a_job_of_the_model_in_the_json(
    ground: Ground,
) -> None:
    form = b'--edge\r\nContent-Disposition: form-data; name="model"\r\n\r\nchain-b\r\n--edge--\r\n'
    body = b'{"model":"chain-a",%b}' % MESSAGES + form

    answer = ground.stack.post(V1_CHAT, body, headers=FORM_WITH_BOUNDARY)

    assert answer.status == 200
    assert [job["model"] for job in ground.new_jobs()] == ["chain-a:latest"]


def test_an_unload_needs_no_job(ground: Ground) -> None:
    unload = ground.stack.post(GENERATE, b'{"model":"chain-a","keep_alive":0}')

    assert (unload.status, "X-Foreman-Job-Id" in unload.headers) == (200, False)
    assert ground.new_jobs() == []


def test_options_that_ollama_joins_are_one_residency(ground: Ground) -> None:
    for options in (b'"options":{"num_ctx":2048},"options":{}', b'"options":{"num_ctx":2048}'):
        ground.stack.post(CHAT, b'{"model":"chain-a",%b,%b,"stream":false}' % (MESSAGES, options))

    queues = [job["queue"] for job in ground.new_jobs()]
    assert len(queues) == 2
    assert len(set(queues)) == 1
    assert queues[0] != "model.chain-a%3Alatest"


@pytest.mark.parametrize("value", [b"1e400", b'"2048"', b"[2048]", b"{}"])
def test_a_wrong_option_makes_no_residency(ground: Ground, value: bytes) -> None:
    body = b'{"model":"chain-a",%b,"options":{"num_ctx":%b}}' % (MESSAGES, value)

    answer = ground.stack.post(CHAT, body)

    assert "X-Foreman-Job-Id" not in answer.headers
    assert ground.new_jobs() == []


def test_a_number_that_no_integer_of_ollamas_holds_is_refused_by_foreman(ground: Ground) -> None:
    body = b'{"model":"chain-a",%b,"options":{"num_ctx":1e300}}' % MESSAGES

    answer = ground.stack.post(CHAT, body)

    assert (answer.status, answer.lines) == (400, [{"error": 'option "num_ctx" is out of range'}])
    assert ground.new_jobs() == []


@pytest.mark.parametrize("path", [CHAT, V1_CHAT, "/v1/messages"])
def test_too_many_values_are_refused_in_the_form_of_the_route(ground: Ground, path: str) -> None:
    answer = ground.stack.post(path, b'{"model":"chain-a","x":[%b1]}' % (b"[]," * 1_000_001))

    assert answer.status == 400
    assert "more than 1000000 values" in str(answer.lines[0]["error"])
    assert ground.new_jobs() == []


def test_large_bodies_do_not_keep_others_waiting(ground: Ground) -> None:
    lists = b'{"model":"nobody","x":[%b1]}' % (b"[[],[]]," * 100_000)
    slowest_s, began_at = 0.0, time.monotonic()

    with ThreadPoolExecutor(4) as pool:
        large = [pool.submit(ground.stack.post, CHAT, lists, 120) for _ in range(4)]
        while not all(each.done() for each in large):
            asked_at = time.monotonic()
            assert ground.stack.get("/healthz").status == 200
            slowest_s = max(slowest_s, time.monotonic() - asked_at)
        answers = [each.result() for each in large]

    assert [answer.status for answer in answers] == [404] * 4
    # Read at once, each of them would stop everybody for a quarter of the time they all took.
    assert slowest_s <= (time.monotonic() - began_at) / 8
