"""The client against a server that answers what a test says: repeats, errors, waits."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from foreman.client import (
    Client,
    ClientError,
    Conflict,
    Invalid,
    NotFound,
    StillRunning,
    Unavailable,
    Unreachable,
    calls,
)
from foreman.client.objects import Job

JOB = {"id": "j1", "state": "queued", "model": "m", "seq": 1}


class Server(ThreadingHTTPServer):
    """Answers with the next of `answers`: status and body, or None to hang up."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: list[tuple[int, Any] | None] = []
        self.asked: list[tuple[str, str, str | None]] = []  # method, path, key

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.asked.append((self.command, self.path, self.headers["Idempotency-Key"]))
        answer = self.server.answers.pop(0)
        if answer is None:
            self.close_connection = True
            return
        status, body = answer
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = _answer

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def client(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    monkeypatch.setattr(calls, "PAUSE_S", 0.001)
    with Client(server.url) as client:
        yield client


def problem(status: int, code: str) -> tuple[int, Any]:
    return status, {"type": f"/docs#{code}", "status": status, "detail": "why", "field": "f"}


@pytest.mark.parametrize("lost", [None, problem(503, "database_unavailable")])
def test_a_submission_that_got_lost_is_sent_again_with_the_same_key(
    server: Server, client: Client, lost: tuple[int, Any] | None
) -> None:
    server.answers = [lost, (202, JOB)]

    assert client.submit("/api/chat", {"model": "m"}).id == "j1"

    keys = [key for _, _, key in server.asked]
    assert keys[0] is not None
    assert keys == [keys[0]] * 2


def test_a_retry_is_never_sent_again_by_itself(server: Server, client: Client) -> None:
    server.answers = [None, (202, JOB)]

    with pytest.raises(Unreachable):
        client.retry("j1")

    assert len(server.asked) == 1


def test_a_server_that_is_away_is_given_up_after_some_tries(server: Server, client: Client) -> None:
    server.answers = [problem(503, "shutting_down")] * calls.TRIES

    with pytest.raises(Unavailable):
        client.job("j1")

    assert len(server.asked) == calls.TRIES


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, Invalid), (404, NotFound), (409, Conflict), (413, Invalid), (422, Invalid)],
)
def test_each_refusal_has_its_class_and_tells_code_and_field(
    server: Server, client: Client, status: int, kind: type[ClientError]
) -> None:
    server.answers = [problem(status, "some_code")]

    with pytest.raises(kind) as raised:
        client.job("j1")

    error: Any = raised.value
    assert (error.status, error.code, error.field) == (status, "some_code", "f")


def test_an_answer_of_somebody_else_is_an_error_of_the_tree(server: Server, client: Client) -> None:
    server.answers = [(200, b"<html>")]
    with pytest.raises(Unavailable):
        client.job("j1")
    server.answers = [(403, b"<html>no</html>")]
    with pytest.raises(ClientError, match="http_403"):
        client.job("j1")


def test_a_wait_ends_with_the_time_it_was_given(server: Server, client: Client) -> None:
    page = {"data": [], "last_seq": 1, "has_ended": False}
    server.answers = [(200, JOB), (200, page)] * 20
    seen: list[Job] = []

    with pytest.raises(StillRunning):
        client.wait("j1", limit_s=0.05, on_progress=seen.append)

    assert seen
    assert "after_seq=1" in server.asked[1][1]


def test_what_a_newer_foreman_says_besides_is_left_out(server: Server, client: Client) -> None:
    server.answers = [(200, JOB | {"colour": "blue"})]

    job = client.job("j1")

    assert (job.state, job.error) == ("queued", None)


def test_the_secret_that_was_made_is_handed_back_and_in_no_log(
    server: Server, client: Client
) -> None:
    line = {"index": 0, "status": 202, "id": "j1", "webhook_secret": "whsec_x"}
    server.answers = [(202, JOB | {"webhook_secret": "whsec_x"}), (200, line), (200, JOB)]

    job = client.submit("/api/chat", {"model": "m"}, webhook={"url": "https://r.example/"})
    (told,) = client.submit_many([{}])

    assert (job.webhook_secret, told.webhook_secret) == ("whsec_x", "whsec_x")
    assert "whsec_x" not in repr((job, told))
    assert client.job("j1").webhook_secret is None


def test_a_line_says_when_to_send_it_again(server: Server, client: Client) -> None:
    status, shown = problem(503, "queue_full")
    server.answers = [(200, {"index": 0, "status": status, "error": shown, "retry_after_s": 7})]

    (line,) = client.submit_many([{}])

    assert isinstance(line.error, Unavailable)
    assert line.error.retry_after_s == 7


def test_a_long_list_is_read_by_pages(server: Server, client: Client) -> None:
    page = {"data": [JOB] * 200, "has_more": True, "next": "c"}
    server.answers = [(200, page), (200, page | {"data": [JOB] * 50})]

    assert len(list(client.list(limit=250, metadata={"a": "b"}))) == 250

    assert "metadata.a=b" in server.asked[0][1]
    assert "after=c" in server.asked[1][1]
    assert "limit=50" in server.asked[1][1]


def test_a_secret_is_changed_once_whatever_comes_back(server: Server, client: Client) -> None:
    server.answers = [(200, {"webhook_secret": "whsec_new", "overlap_seconds": 60}), None]

    assert client.rotate_secret("j1", overlap_s=60) == "whsec_new"
    with pytest.raises(Unreachable):
        client.rotate_secret("j1")

    assert [each[:2] for each in server.asked] == [("POST", "/jobs/j1/webhook/rotate")] * 2
