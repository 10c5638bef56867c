"""Every error that a client can get from the HTTP server has the form of its route."""

import json
from collections.abc import Callable

import pytest

from tests.integration.front.raw import RawAnswer, connect, exchange, head
from tests.integration.front.requests import AS_GO, CHUNKED, REFUSED_FOR_SAFETY, chunks, get
from tests.stack import WebAlone

ErrorOf = Callable[[bytes], str]


def ollama_error(body: bytes) -> str:
    error = json.loads(body)
    assert set(error) == {"error"}
    return str(error["error"])


def openai_error(body: bytes) -> str:
    error = json.loads(body)["error"]
    assert error["param"] is None
    assert error["code"]
    assert error["type"] in ("invalid_request_error", "api_error")
    return str(error["message"])


def anthropic_error(body: bytes) -> str:
    answer = json.loads(body)
    assert answer["type"] == "error"
    assert answer["request_id"].startswith("req_")
    kinds = ("invalid_request_error", "request_too_large", "api_error")
    assert answer["error"]["type"] in kinds
    return str(answer["error"]["message"])


def problem(body: bytes) -> str:
    answer = json.loads(body)
    assert answer["type"].startswith("/docs#")
    assert answer["title"]
    return str(answer["detail"])


JSON, PROBLEM = "application/json; charset=utf-8", "application/problem+json"
# path, content type, form
ROUTES: list[tuple[bytes, str, ErrorOf]] = [
    (b"/api/chat", JSON, ollama_error),
    (b"/nowhere", JSON, ollama_error),
    (b"/v1/chat/completions", JSON, openai_error),
    (b"/v1/messages", JSON, anthropic_error),
    (b"/jobs", PROBLEM, problem),
]


def bad_heads(path: bytes) -> dict[str, tuple[bytes, int]]:
    """Requests that are refused before a route sees them, and their statuses."""

    def post(*headers: bytes) -> bytes:
        return head(path, *headers, method=b"POST")

    return {
        "a long request line": (head(path + b"?q=" + b"x" * 70_000), 414),
        "a long header": (post(b"X-A: " + b"x" * 70_000), 431),
        "many headers": (post(*(b"X-%d: 1" % number for number in range(201))), 431),
        "a huge head": (post(*(b"X-%d: " % n + b"x" * 60_000 for n in range(30))), 431),
        "a bad header": (post(b"X-A: a\x00b"), 400),
        "a bad header name": (post(b"X A: 1"), 400),
        "a folded header": (post(b"X-A: 1\r\n 2"), 400),
        "a bare LF": (post(b"X-A: 1\nX-B: 2"), 400),
        "no Host": (head(path, host=b""), 400),
        "a bad length": (post(b"Content-Length: abc"), 400),
        "a length and chunks": (post(b"Content-Length: 3", CHUNKED), 400),
        "a coding": (post(b"Transfer-Encoding: gzip"), 501),
        "an expectation": (post(b"Expect: 200-ok"), 417),
        "HTTP/2.0": (head(path, version=b"HTTP/2.0"), 505),
        "no version": (b"GET " + path + b" HTTX\r\n\r\n", 400),
        "a bad method": (head(path, method=b"g(t"), 400),
    }


def bad_bodies(path: bytes) -> dict[str, tuple[bytes, int]]:
    """Requests whose body turns out to be none while a handler reads it."""
    sent = {
        "0x": b"0x13\r\n",
        "-1": b"-1\r\n",
        "a bare LF": b"13\n",
        "40 f": b"f" * 40 + b"\r\n{}\r\n0\r\n\r\n",
        "no size": b"\r\n",
        "a bad end": b"2\r\n{}XX",
        "a bad trailer": b"2\r\n{}\r\n0\r\nX A: 1\r\n\r\n",
        "a bare LF in a trailer": b"2\r\n{}\r\n0\r\nX-A: 1\nX-B: 2\r\n\r\n",
        "a long extension": b"2;" + b"a" * 10_000,
    }
    return {name: (chunks(body, path), 400) for name, body in sent.items()}


HEADS, BODIES = sorted(bad_heads(b"/")), sorted(bad_bodies(b"/"))


def assert_refused(answer: RawAnswer, status: int, content_type: str, error_of: ErrorOf) -> None:
    assert answer.statuses == [status]
    assert answer.headers["content-type"] == content_type
    assert answer.headers["connection"] == "close"
    assert len(answer.body) == int(answer.headers["content-length"])
    assert error_of(answer.body)
    assert answer.is_closed


@pytest.mark.parametrize(("path", "content_type", "error_of"), ROUTES)
@pytest.mark.parametrize("name", HEADS)
def test_a_head_that_cannot_be_read_is_refused_in_the_form_of_its_route(
    name: str, path: bytes, content_type: str, error_of: ErrorOf, web: WebAlone
) -> None:
    sent, status = bad_heads(path)[name]

    assert_refused(exchange(web.url, sent, closes=True), status, content_type, error_of)


@pytest.mark.parametrize(
    ("path", "content_type", "error_of"), [each for each in ROUTES if each[0] != b"/nowhere"]
)
@pytest.mark.parametrize("name", BODIES)
def test_a_body_that_cannot_be_read_is_refused_in_the_form_of_its_route(
    name: str, path: bytes, content_type: str, error_of: ErrorOf, web: WebAlone
) -> None:
    sent, status = bad_bodies(path)[name]

    assert_refused(exchange(web.url, sent, closes=True), status, content_type, error_of)


@pytest.mark.parametrize("path", [b"/api/embed", b"/api/show", b"/v1/embeddings", b"/api/tags"])
def test_every_route_that_reads_a_body_refuses_a_bad_one(path: bytes, web: WebAlone) -> None:
    answer = exchange(web.url, chunks(b"0x13\r\n", path), closes=True)

    # GET /api/tags has no POST: its 405 needs no body.
    assert answer.statuses == [405 if path == b"/api/tags" else 400]
    assert answer.is_closed


@pytest.mark.parametrize(("path", "content_type", "error_of"), ROUTES)
def test_a_body_that_is_too_large_is_refused_before_it_is_asked_for(
    path: bytes, content_type: str, error_of: ErrorOf, web: WebAlone
) -> None:
    sent = head(path, b"Content-Length: 50000000", b"Expect: 100-continue", method=b"POST")

    answer = exchange(web.url, sent, closes=True)

    if path == b"/nowhere":
        assert answer.statuses == [404]
    else:
        assert answer.statuses == [413]  # and no 100 before it
        assert_refused(answer, 413, content_type, error_of)


def test_a_batch_whose_body_breaks_off_ends_with_a_line_that_says_so(web: WebAlone) -> None:
    answer = exchange(web.url, chunks(b"0x13\r\n", b"/jobs/batch"), closes=True)

    assert answer.statuses == [200]
    assert b'"index":0,"status":400' in answer.body
    assert answer.is_closed


@pytest.mark.parametrize(("path", "content_type", "error_of"), ROUTES)
def test_a_head_that_stops_arriving_is_answered_with_408(
    path: bytes, content_type: str, error_of: ErrorOf, web: WebAlone
) -> None:
    answer = exchange(web.url, head(path)[:-4], closes=True)

    assert_refused(answer, 408, content_type, error_of)


def test_a_head_that_arrives_byte_by_byte_has_no_more_time(web: WebAlone) -> None:
    with connect(web.url) as connection:
        connection.settimeout(0.2)
        received = b""
        for byte in head(b"/api/version", b"X-A: " + b"x" * 1000):
            connection.sendall(bytes([byte]))
            try:
                received = connection.recv(64 * 1024)
            except TimeoutError:
                continue
            break

    assert b" 408 " in received


@pytest.mark.parametrize("name", [*HEADS, *BODIES, *REFUSED_FOR_SAFETY])
def test_what_follows_a_request_that_was_refused_is_never_served(name: str, web: WebAlone) -> None:
    every = bad_heads(b"/api/show") | bad_bodies(b"/api/show")
    sent = REFUSED_FOR_SAFETY[name][0] if name in REFUSED_FOR_SAFETY else every[name][0]

    answer = exchange(web.url, sent + get(), closes=True)

    assert len(answer.statuses) == 1
    assert answer.status >= 400


def test_a_bad_request_of_a_head_is_answered_without_a_body(web: WebAlone) -> None:
    answer = exchange(web.url, head(b"/api/version", b"X A: 1", method=b"HEAD"), closes=True)

    assert answer.status == 400
    assert answer.body == b""
    assert answer.is_closed


def test_what_a_client_sends_wrong_leaves_no_stack_trace_in_the_log(web: WebAlone) -> None:
    for sent, _, _ in REFUSED_FOR_SAFETY.values():
        exchange(web.url, sent, closes=True)
    for sent in AS_GO.values():
        with connect(web.url) as connection:
            connection.sendall(sent)
            connection.recv(1)

    log = web.processes["web"].log_text()
    assert "Traceback" not in log
    assert '"level": "ERROR"' not in log
