"""A web process that dies after a job is on the disk and before its caller was told."""

import http.client
import json
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.integration.conftest import NewOllama, NewStack
from tests.stack import Answer, Stack, wait_for

ASKED = {
    "endpoint": "/api/chat",
    "request": {"model": "chain-a", "messages": [{"role": "user", "content": "hi"}]},
}
KEY = {"Idempotency-Key": "order-17"}


def submit(stack: Stack, **more: Any) -> Answer:
    return stack.post("/jobs", ASKED | more, headers=KEY)


@pytest.mark.parametrize("broker_url", ["redis"], indirect=True)
def test_the_same_key_finds_the_job_whose_acceptance_was_never_told(
    new_stack: NewStack, new_ollama: NewOllama
) -> None:
    ollama = new_ollama(tokens_per_s=0)
    ollama.fault("stall_before")
    stack = new_stack(ollama)
    connection = http.client.HTTPConnection(urlsplit(stack.url).netloc, timeout=20)
    with closing(connection):
        # It answers when the job has ended, so that it dies between the commit and the answer.
        connection.request("POST", "/jobs", json.dumps(ASKED), KEY | {"Prefer": "wait=30"})
        wait_for(lambda: stack.jobs())
        stack.processes["web"].kill()
        with pytest.raises((http.client.HTTPException, OSError)):
            connection.getresponse()
    stack.processes["web"].start()
    wait_for(stack.is_ready, 20)
    ollama.clear()

    again = submit(stack)

    (job,) = stack.jobs()
    assert again.status == 202
    assert again.headers["Idempotent-Replayed"] == "true"
    assert json.loads(again.body)["id"] == str(job["id"])
    assert submit(stack, metadata={"other": 1}).status == 422
    wait_for(lambda: stack.jobs()[0]["state"] == "succeeded", 20)
    assert len(stack.jobs()) == 1
