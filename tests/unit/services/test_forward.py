"""Answers that are passed on, from a target that never comes to an end."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from types import SimpleNamespace
from typing import cast

import pytest

from foreman.adapters.target import TargetClient, TargetRequest
from foreman.errors import TargetTimeout
from foreman.parsing import TargetSpec
from foreman.runtime import WebRuntime
from foreman.services import forward
from foreman.services.forward import Forwarding
from tests.fakes.hostile_lists import HostileLists
from tests.fakes.raw_target import chunked
from tests.fakes.scripted_target import Reply, ScriptedTarget
from tests.fakes.silent import silent_server

ASKED = TargetRequest("GET", "/api/tags")


def forwarding(
    url: str, asked: TargetRequest = ASKED, *others: str, limit_bytes: int | None = 1000
) -> Forwarding:
    clients = {}
    for number, each in enumerate([url, *others], 1):
        spec = TargetSpec(name=f"gpu{number}", url=each, slots=1)
        clients[spec.name] = TargetClient(spec, silence_s=1, connections=1)
    runtime = cast(WebRuntime, SimpleNamespace(targets=clients))
    return Forwarding(runtime, list(clients), asked, limit_bytes=limit_bytes)


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forward, "ANSWER_LIMIT_S", 0.5)


@pytest.fixture
def dripping() -> Iterator[HostileLists]:
    with HostileLists({"/api/tags": None}) as target:
        target.drips_every_s = 0.05
        yield target


def test_an_answer_that_drips_ends_with_an_error_at_its_deadline(dripping: HostileLists) -> None:
    with closing(forwarding(dripping.url)) as passing:
        answer = passing.start()

        with pytest.raises(TargetTimeout, match=r"did not answer completely within 0\.5 s"):
            list(answer.body)


def test_a_target_that_says_nothing_has_the_same_deadline() -> None:
    with silent_server() as url, closing(forwarding(url)) as passing, pytest.raises(TargetTimeout):
        passing.start()


ASKED_CHAT = TargetRequest("POST", "/v1/chat/completions", body=b"{}")


def test_a_stream_that_is_passed_on_ends_with_an_error_when_its_last_event_is_missing() -> None:
    with (
        raw_target(b'data: {"choices":[]}\n\n') as url,
        closing(forwarding(url, ASKED_CHAT, limit_bytes=None)) as passing,
    ):
        whole = b"".join(passing.start().body)

    first, last, _ = whole.split(b"\n\n")
    assert first == b'data: {"choices":[]}'
    assert json.loads(last.removeprefix(b"data: "))["error"]["code"] == "answer_incomplete"


def test_a_request_that_only_reads_is_answered_by_the_next_target() -> None:
    with (
        silent_server() as hangs,
        ScriptedTarget(lambda _: Reply()) as works,
        closing(forwarding(hangs, ASKED, works.url)) as passing,
    ):
        answer = passing.start()

    assert dict(answer.headers)["X-Foreman-Target"] == "gpu2"


def test_what_may_have_begun_to_work_is_not_asked_of_another_target() -> None:
    with silent_server() as hangs, ScriptedTarget(lambda _: Reply()) as works:
        passing = forwarding(hangs, ASKED_CHAT, works.url, limit_bytes=None)
        with closing(passing), pytest.raises(TargetTimeout):
            passing.start()
        assert works.asked == []


@contextmanager
def raw_target(body: bytes) -> Iterator[str]:
    """Answers one request with these events, in chunks, and as if they were all."""
    head_of_it = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
    answer = head_of_it + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(body)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with server.accept()[0] as connection:
                connection.recv(65536)
                connection.sendall(answer)

        serving = threading.Thread(target=serve, daemon=True)
        serving.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        serving.join(10)
