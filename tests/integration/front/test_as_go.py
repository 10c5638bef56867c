"""A request that Ollama's HTTP server reads is read by foreman, in the same way."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.front.raw import LIMIT_S, connect, exchange, head, receive
from tests.integration.front.requests import (
    AS_GO,
    BODY,
    REFUSED_FOR_SAFETY,
    SERVED_ALL_THE_SAME,
    get,
    post,
)
from tests.stack import WebAlone

SOURCE = Path(__file__).parent / "go"
OFFLINE = {"GOFLAGS": "-buildvcs=false", "GOPROXY": "off", "GOTOOLCHAIN": "local", "GOWORK": "off"}


@pytest.fixture(scope="module")
def go_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Go's own HTTP server, which answers 200 to whatever it can read."""
    if shutil.which("go") is None:
        pytest.skip("go is not on the PATH")
    program = tmp_path_factory.mktemp("go") / "front"
    subprocess.run(
        ["go", "build", "-o", str(program), "."],
        cwd=SOURCE,
        env=os.environ | OFFLINE,
        check=True,
        timeout=200,
    )
    with subprocess.Popen([program], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield server.stdout.readline().strip()
        server.kill()


@pytest.mark.timeout(240)  # the first build compiles Go's standard library
@pytest.mark.parametrize("name", AS_GO)
def test_a_request_is_served_or_refused_as_by_go(name: str, go_url: str, web: WebAlone) -> None:
    expected = exchange(go_url, AS_GO[name])

    answer = exchange(web.url, AS_GO[name], closes=expected.is_closed)

    assert answer.statuses == expected.statuses
    assert answer.is_closed == expected.is_closed


@pytest.mark.parametrize("name", REFUSED_FOR_SAFETY)
def test_what_foreman_refuses_for_safety_is_on_the_list(
    name: str, go_url: str, web: WebAlone
) -> None:
    sent, by_go, by_foreman = REFUSED_FOR_SAFETY[name]

    assert exchange(go_url, sent).status == by_go
    assert exchange(web.url, sent, closes=True).status == by_foreman


@pytest.mark.parametrize("name", SERVED_ALL_THE_SAME)
def test_empty_lines_before_a_request_are_skipped(name: str, web: WebAlone) -> None:
    assert set(exchange(web.url, SERVED_ALL_THE_SAME[name]).statuses) == {200}


@pytest.mark.parametrize("path", [b"/", b"/api/version", b"/v1/models", b"/healthz", b"/jobs"])
def test_an_upgrade_is_ignored_on_every_route(path: bytes, web: WebAlone) -> None:
    upgrade = (b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13")

    assert exchange(web.url, head(path, *upgrade)).status == 200


def test_a_header_of_64_kib_and_200_headers_and_a_long_line_are_accepted(web: WebAlone) -> None:
    header = b"X-A: " + b"x" * (64 * 1024 - len(b"X-A: \r\n"))
    headers = [b"X-%d: 1" % number for number in range(199)]  # and Host
    line = b"GET /healthz?q="
    query = b"x" * (64 * 1024 - len(line) - len(b" HTTP/1.1"))

    assert exchange(web.url, head(b"/healthz", header)).status == 200
    assert exchange(web.url, head(b"/healthz", *headers)).status == 200
    assert exchange(web.url, head(b"/healthz?q=" + query)).status == 200


def test_the_permission_to_send_is_given_when_the_body_is_read(web: WebAlone) -> None:
    expect = (b"Content-Length: %d" % len(BODY), b"Expect: 100-continue")

    with connect(web.url) as connection:
        connection.sendall(post(*expect, body=b""))
        assert receive(connection).received == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(BODY)
        assert receive(connection).status == 200


def test_an_expectation_without_a_body_is_none(web: WebAlone) -> None:
    answer = exchange(web.url, get(b"Expect: 100-continue"))

    assert answer.statuses == [200]
    assert not answer.is_closed


def test_a_request_that_is_refused_gets_no_permission_to_send(web: WebAlone) -> None:
    expect = (b"Content-Length: 1000000", b"Expect: 100-continue")

    answer = exchange(web.url, post(*expect, body=b"", target=b"/nowhere"), closes=True)

    assert answer.statuses == [404]
    assert answer.headers["connection"] == "close"
    assert answer.is_closed


def test_a_client_that_sends_a_large_body_in_vain_sees_the_answer(web: WebAlone) -> None:
    size = 40 * 1024 * 1024
    with connect(web.url) as connection:
        connection.sendall(post(b"Content-Length: %d" % size, body=b"", target=b"/nowhere"))
        for _ in range(40):
            connection.sendall(bytes(1024 * 1024))
        answer = receive(connection, quiet_s=LIMIT_S)

    assert answer.statuses == [404]
    assert answer.is_closed


def test_what_is_left_of_a_small_body_does_not_end_the_connection(web: WebAlone) -> None:
    unread = post(b"Content-Length: 1000", body=bytes(1000), target=b"/nowhere")

    answer = exchange(web.url, unread + get())

    assert answer.statuses == [404, 200]
    assert not answer.is_closed


def test_a_fragment_and_an_absolute_target_name_one_path_only(web: WebAlone) -> None:
    assert exchange(web.url, head(b"/api/version#x")).status == 404
    assert exchange(web.url, head(b"http://localhost/nowhere")).status == 404
    assert exchange(web.url, head(b"http://elsewhere.example/api/version")).status == 403


def test_a_question_to_the_server_has_an_empty_answer(web: WebAlone) -> None:
    answer = exchange(web.url, head(b"*", method=b"OPTIONS"))

    assert answer.status == 200
    assert answer.body == b""
