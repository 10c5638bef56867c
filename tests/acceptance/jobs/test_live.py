"""The asynchronous routes through the real web process: streams in both directions, real waits."""

import http.client
import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.client import chat
from tests.stack import Stack, WebAlone, wait_for

LIMIT_S = 30


def ask(**more: Any) -> dict[str, Any]:
    return {"endpoint": "/api/chat", "request": chat(options={"num_predict": 3}), **more}


def line(**more: Any) -> bytes:
    """A line of a batch."""
    return json.dumps(ask(**more)).encode() + b"\n"


@pytest.fixture
def connection(shared_stack: Stack) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection("127.0.0.1", shared_stack.port, timeout=LIMIT_S)
    yield connection
    connection.close()


def test_a_caller_that_waits_gets_the_job_that_a_worker_ended(
    connection: http.client.HTTPConnection,
) -> None:
    body = json.dumps(ask(priority="interactive"))

    connection.request("POST", "/jobs", body, {"Prefer": "wait=30"})
    answer = connection.getresponse()
    job = json.loads(answer.read())

    assert (answer.status, job["state"], job["target_status"]) == (200, "succeeded", 200)
    assert answer.headers["Preference-Applied"] == "wait=30"


def test_many_callers_wait_without_a_connection_to_the_database_each(shared_stack: Stack) -> None:
    body = ask(priority="interactive")

    def wait(_: int) -> str:
        job = json.loads(shared_stack.post("/jobs", body).body)
        seq = 1
        while True:
            path = f"/jobs/{job['id']}/events?after_seq={seq}&wait=30"
            page = json.loads(shared_stack.get(path).body)
            seq = page["last_seq"]
            if page["has_ended"]:
                return str(page["data"][-1]["state"])

    with ThreadPoolExecutor(40) as threads:
        assert set(threads.map(wait, range(40))) == {"succeeded"}


def test_answers_come_while_the_lines_are_still_sent(web_alone: WebAlone) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", web_alone.port, timeout=LIMIT_S)
    connection.putrequest("POST", "/jobs/batch")
    connection.putheader("Transfer-Encoding", "chunked")
    connection.endheaders()

    def send(body: bytes) -> None:
        connection.send(b"%x\r\n%s\r\n" % (len(body), body))

    send(line() * 700)
    answer = connection.getresponse()
    first = json.loads(answer.readline())
    send(line() * 300)
    connection.send(b"0\r\n\r\n")
    rest = answer.read().splitlines()
    connection.close()

    assert (first["index"], first["status"]) == (0, 202)
    assert [json.loads(each)["index"] for each in rest] == list(range(1, 1000))


def test_a_caller_that_leaves_in_the_middle_leaves_whole_jobs_behind(web_alone: WebAlone) -> None:
    before = len(web_alone.rows("SELECT 1 FROM jobs WHERE client = 'leaver'"))
    with socket.create_connection(("127.0.0.1", web_alone.port), timeout=LIMIT_S) as sock:
        head = b"POST /jobs/batch HTTP/1.1\r\nHost: localhost\r\nX-Foreman-Client: leaver\r\n"
        sock.sendall(
            head + b"Content-Length: 10000000\r\n\r\n" + line() * 700 + b'{"endpoint": "/ap'
        )
        sock.recv(100)

    def accepted() -> list[dict[str, Any]]:
        return web_alone.rows(
            "SELECT j.id, p.job_id, e.job_id AS event FROM jobs j LEFT JOIN payloads p"
            " ON p.job_id = j.id LEFT JOIN events e ON e.job_id = j.id AND e.seq = 1"
            " WHERE j.client = 'leaver'"
        )

    rows = wait_for(lambda: (found := accepted())[before:] and found, 20, "lines were accepted")
    assert all(row["job_id"] and row["event"] for row in rows)
    assert web_alone.get("/healthz").status == 200


def test_curl_sends_a_file_of_lines(web_alone: WebAlone, tmp_path: Path) -> None:
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("there is no curl")
    lines = tmp_path / "jobs.ndjson"
    lines.write_bytes(line() * 5_000)

    done = subprocess.run(
        [curl, "-sS", "--data-binary", f"@{lines}", f"{web_alone.url}/jobs/batch"],
        capture_output=True,
        timeout=60,
        check=True,
    )

    answers = [json.loads(each) for each in done.stdout.splitlines()]
    assert [each["index"] for each in answers] == list(range(5_000))
    assert {each["status"] for each in answers} == {202}


def test_a_method_that_gunicorn_passes_on_is_refused_as_a_problem(
    connection: http.client.HTTPConnection,
) -> None:
    for method in ("PUT", "DELETE", "TRACE", "OPTIONS"):
        connection.request(method, "/jobs")
        answer = connection.getresponse()
        body = json.loads(answer.read())
        assert (answer.status, body["type"]) == (405, "/docs#http_error")
        assert "POST" in answer.headers["Allow"]


def test_ollamas_own_routes_are_as_they_were(shared_stack: Stack) -> None:
    answer = shared_stack.get("/api/jobs")

    assert (answer.status, answer.body) == (404, b"404 page not found")
