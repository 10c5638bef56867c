"""Streams through a real nginx: with its default settings, and with those of docs/proxies.md."""

import http.client
import json
import os
import re
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from foreman.simulation.process import SimulationProcess
from tests.client import Stream, chat, hold, stream
from tests.nginx import NginxServer, nginx_missing
from tests.servers import PostgresServer
from tests.stack import ROOT, Stack, wait_for

PIECES, TOKENS_PER_S = 42, 20
# Events that belong together may come in two pieces; [DONE] is one.
SPLIT = 4
PAGE = ROOT / "docs" / "proxies.md"


@pytest.fixture(scope="module")
def nginx_is_there() -> None:
    reason = nginx_missing()
    if reason and os.environ.get("CI") == "true":
        pytest.fail(f"nginx is required in CI: {reason}")
    if reason:
        pytest.skip(reason)


@pytest.fixture(scope="module")
def ollama() -> Iterator[SimulationProcess]:
    with SimulationProcess(demo=True, tokens_per_s=TOKENS_PER_S, load_s=0.1, slots=1) as process:
        yield process


@pytest.fixture(scope="module")
def foreman(
    postgres: PostgresServer,
    template_url: str,
    new_broker_url: Callable[[str], str],
    ollama: SimulationProcess,
) -> Iterator[Stack]:
    running = Stack(
        database_url=postgres.create_database(template_url),
        broker_url=new_broker_url("redis"),
        targets=f"gpu={ollama.url}?slots=1",
        settings={"FOREMAN_KEEPALIVE_AFTER": "3", "FOREMAN_KEEPALIVE_EVERY": "0.3"},
    )
    with running:
        yield running


def recommended() -> str:
    """The content of the page's `server`, without its port and name."""
    block = re.search(r"```nginx\nserver \{\n(.*?)\n\}\n```", PAGE.read_text(), re.DOTALL)
    assert block is not None
    return re.sub(r" *(listen|server_name) [^;]*;\n", "", block[1])


def in_front_of(foreman: Stack, content: str) -> str:
    """The content of a `server` for the port that this foreman has."""
    return content.replace("127.0.0.1:11435", f"127.0.0.1:{foreman.port}")


@pytest.fixture(scope="module", params=["default", "recommended"])
def nginx(
    request: pytest.FixtureRequest, foreman: Stack, nginx_is_there: None
) -> Iterator[NginxServer]:
    content = "location / { proxy_pass http://127.0.0.1:11435; }"
    if request.param == "recommended":
        content = recommended()
    server = NginxServer(in_front_of(foreman, content))
    yield server
    server.stop()


@pytest.fixture
def bodies() -> dict[str, Any]:
    """A streaming request of each protocol."""
    return {
        "/api/chat": chat(),
        "/v1/chat/completions": chat(stream=True),
        "/v1/responses": {"model": "chain-a", "input": "hi", "stream": True},
        "/v1/messages": chat(stream=True, max_tokens=100),
    }


def arrivals(opened: Stream) -> list[float]:
    """When the pieces of the body arrived, as the network brought them."""
    times = []
    while opened.answer.read1(64 * 1024):
        times.append(time.monotonic())
    return times


@pytest.mark.parametrize("path", ["/api/chat", "/v1/chat/completions"])
def test_every_piece_arrives_by_itself(
    path: str, nginx: NginxServer, bodies: dict[str, Any]
) -> None:
    with stream(nginx.url, path, bodies[path]) as opened:
        pieces = arrivals(opened)

    # 42 tokens, 50 ms apart; two may meet where this machine is busy. Buffered, they are 2 or 3.
    assert PIECES / 2 < len(pieces) <= PIECES + SPLIT
    took_s = pieces[-1] - pieces[0]
    assert took_s > 0.5 * PIECES / TOKENS_PER_S, "they came as they were made, not at the end"


@pytest.mark.parametrize(("path", "keepalive"), [("/api/chat", b" "), ("/v1/messages", b": ")])
def test_a_keepalive_arrives_while_the_request_waits(
    path: str,
    keepalive: bytes,
    nginx: NginxServer,
    ollama: SimulationProcess,
    bodies: dict[str, Any],
) -> None:
    hold(ollama)
    with stream(nginx.url) as first:
        assert json.loads(first.read_line())
        with stream(nginx.url, path, bodies[path]) as waiting:
            # The one slot is taken: nothing but keep-alives can come.
            assert waiting.answer.read1(1000).startswith(keepalive)
            assert waiting.answer.read1(1000).startswith(keepalive)
            ollama.end_faults()
            assert first.rest()
            assert waiting.rest()


def test_a_client_that_leaves_is_noticed(
    nginx: NginxServer, foreman: Stack, ollama: SimulationProcess
) -> None:
    hold(ollama)
    with stream(nginx.url) as opened:
        assert opened.read_line()

        opened.leave()

    wait_for(lambda: foreman.jobs()[-1]["state"] == "cancelled", 20, "the job is cancelled")


def test_what_foreman_accepts_passes_with_the_recommended_settings(
    foreman: Stack, nginx_is_there: None
) -> None:
    nginx = NginxServer(in_front_of(foreman, recommended()))
    connection = http.client.HTTPConnection(urlsplit(nginx.url).netloc, timeout=60)
    try:
        body = json.dumps({"model": "nowhere", "x": "x" * 20_000_000}).encode()

        connection.request("POST", "/api/chat", body, {"Cookie": "a=" + "x" * 9000})
        answer = connection.getresponse()

        assert answer.status == 404
        assert "not found" in json.loads(answer.read())["error"]
    finally:
        connection.close()
        nginx.stop()


@pytest.mark.parametrize(
    ("path", "cache_control"),
    [
        ("/api/chat", "no-transform"),
        ("/v1/chat/completions", "no-transform"),
        ("/v1/responses", "no-cache, no-transform"),
        ("/v1/messages", "no-cache, no-transform"),
    ],
)
def test_a_stream_says_that_it_is_one_and_what_its_target_says_of_caches(
    path: str, cache_control: str, foreman: Stack, bodies: dict[str, Any]
) -> None:
    with stream(foreman.url, path, bodies[path]) as opened:
        headers = opened.answer.headers

        assert headers["X-Accel-Buffering"] == "no"
        assert headers.get_all("Cache-Control") == [cache_control]
        assert opened.rest()


def test_the_answer_to_a_batch_is_a_stream_and_a_whole_answer_is_none(foreman: Stack) -> None:
    line = {"endpoint": "/api/chat", "request": chat()}
    with stream(foreman.url, "/jobs/batch", line) as batch:
        headers = batch.answer.headers

        assert headers["X-Accel-Buffering"] == "no"
        assert "no-transform" in headers["Cache-Control"]
        assert json.loads(batch.rest())["status"] == 202
    assert "X-Accel-Buffering" not in foreman.get("/healthz").headers
