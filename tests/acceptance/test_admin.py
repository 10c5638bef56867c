"""Admin routes where the operator has opened them: blobs of any size, models made and removed."""

import hashlib
import http.client
import json
from collections.abc import Iterator

import psutil
import pytest

from tests.stack import Stack

MIB = 1024 * 1024
BLOB_MIB = 150  # more than FOREMAN_MAX_BODY, which is for bodies that are held


def _pieces() -> Iterator[bytes]:
    for number in range(BLOB_MIB):
        yield bytes([number % 256]) * MIB


def _digest() -> str:
    digest = hashlib.sha256()
    for piece in _pieces():
        digest.update(piece)
    return f"sha256:{digest.hexdigest()}"


def _memory_bytes(stack: Stack) -> int:
    web = psutil.Process(stack.processes["web"].process.pid)
    return sum(int(process.memory_info().rss) for process in [web, *web.children(recursive=True)])


@pytest.mark.parametrize("is_chunked", [False, True], ids=["with-length", "chunked"])
def test_a_blob_goes_through_without_being_held_in_memory(
    shared_stack: Stack, is_chunked: bool
) -> None:
    before = _memory_bytes(shared_stack)
    headers = {} if is_chunked else {"Content-Length": str(BLOB_MIB * MIB)}
    connection = http.client.HTTPConnection("127.0.0.1", shared_stack.port, timeout=60)

    connection.request(
        "POST", f"/api/blobs/{_digest()}", _pieces(), headers, encode_chunked=is_chunked
    )
    answer = connection.getresponse()

    assert answer.status in (200, 201), answer.read()
    connection.close()
    assert _memory_bytes(shared_stack) - before < 40 * MIB


def test_a_model_that_was_just_made_can_be_used_at_once(shared_stack: Stack) -> None:
    name = f"copy-{shared_stack.port}"
    assert shared_stack.post("/api/copy", {"source": "chain-a", "destination": name}).status == 200

    answer = shared_stack.post(
        "/api/generate",
        {"model": name, "prompt": "x", "stream": False, "options": {"num_predict": 2}},
    )

    assert json.loads(answer.body)["model"] == name
    assert [job["model"] for job in shared_stack.jobs()][-1] == f"{name}:latest"
