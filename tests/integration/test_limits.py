"""Bounds: a client that does not read, a broker that does not answer, a database that is gone."""

import json
import os
import signal
import socket

from tests.client import Background, chat
from tests.integration.conftest import ON_ONE_BROKER, NewOllama, NewStack
from tests.servers import Server
from tests.stack import wait_for


@ON_ONE_BROKER
def test_a_client_that_does_not_read_is_cut_off_and_delays_nobody(
    new_stack: NewStack, new_ollama: NewOllama
) -> None:
    ollama = new_ollama(tokens_per_s=0, tokens=1_000_000)
    settings = {"FOREMAN_STREAM_BUFFER": "1MiB", "FOREMAN_CLIENT_TIMEOUT": "3"}
    stack = new_stack(ollama, settings=settings)
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect(("127.0.0.1", stack.port))
        body = json.dumps(chat()).encode()
        head = f"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        deaf.sendall(head.encode() + body)

        answer = stack.post("/api/chat", chat(options={"num_predict": 20}))

        assert answer.lines[-1]["done"] is True
        wait_for(lambda: "cancelled" in [job["state"] for job in stack.jobs()], 20)
    wait_for(lambda: "client_gone" in [each["ended"] for each in ollama.log("generation")])


def test_a_request_is_accepted_and_served_although_the_broker_was_frozen(
    new_stack: NewStack, new_ollama: NewOllama, broker_server: Server
) -> None:
    stack = new_stack(new_ollama(tokens_per_s=200))
    os.kill(broker_server.pid, signal.SIGSTOP)
    try:
        waiting = [Background(stack.url, body=chat(stream=False)) for _ in range(3)]
        wait_for(lambda: len(stack.jobs()) == 3)
    finally:
        os.kill(broker_server.pid, signal.SIGCONT)

    assert [each.result(40)[0] for each in waiting] == [200] * 3
