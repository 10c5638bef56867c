"""Flow control from the target to the client: who reads slowly waits, and disturbs nobody."""

import hashlib
import http.client
import itertools
import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import pytest
import redis

from foreman.simulation.process import SimulationProcess
from tests.client import LIMIT_S, chat, stream
from tests.fakes.raw_target import RawTarget, chunked, head
from tests.integration.conftest import ON_ONE_BROKER, NewStack
from tests.servers import ValkeyServer
from tests.stack import Stack, wait_for

MIB = 1024 * 1024
BIG_BYTES = 20 * 1000 * 1000
PIECE_BYTES = 64 * 1024
CLIENTS = 8
PACED_LINES, PACE_S = 120, 0.05
MODEL = "chain-a"
NDJSON = head("200 OK", "Content-Type: application/x-ndjson", "Transfer-Encoding: chunked")


def big_line(name: str) -> bytes:
    """One line of 20 MB that no two clients share."""
    seed = hashlib.sha256(name.encode()).hexdigest()
    content = (seed * (BIG_BYTES // len(seed) + 1))[:BIG_BYTES]
    return b'{"message":{"content":"%b"},"done":true}\n' % content.encode()


def paced_line(number: int) -> bytes:
    is_last = number == PACED_LINES - 1
    return json.dumps({"message": {"content": str(number)}, "done": is_last}).encode() + b"\n"


def script(connection: socket.socket, body: bytes) -> None:
    """What is asked for: "paced", or a big line of that name."""
    name = json.loads(body)["messages"][0]["content"]
    connection.sendall(NDJSON)
    if name == "paced":
        for number in range(PACED_LINES):
            connection.sendall(chunked(paced_line(number)).removesuffix(b"0\r\n\r\n"))
            time.sleep(PACE_S)  # the pace of a model
        connection.sendall(chunked())
        return
    line = big_line(name)
    pieces = [line[at : at + PIECE_BYTES] for at in range(0, len(line), PIECE_BYTES)]
    for piece in pieces:
        connection.sendall(chunked(piece).removesuffix(b"0\r\n\r\n"))
    connection.sendall(chunked())


def asks(name: str) -> dict[str, object]:
    return chat(MODEL, messages=[{"role": "user", "content": name}])


@pytest.fixture
def target() -> Iterator[RawTarget]:
    with ExitStack() as running:
        behind = running.enter_context(SimulationProcess(load_s=0.1, slots=2))
        scripted = running.enter_context(RawTarget(behind.url))
        scripted.script = script
        yield scripted


def new_stack_of(new_stack: NewStack, target: RawTarget, **settings: str) -> Stack:
    return new_stack(targets=f"gpu={target.url}?slots={CLIENTS + 1}", settings=settings)


def note_hang_up(target: RawTarget) -> threading.Event:
    """Set once foreman hangs up on a generation."""
    has_hung_up = threading.Event()

    def noted(connection: socket.socket, body: bytes) -> None:
        try:
            script(connection, body)
        except OSError:
            has_hung_up.set()

    target.script = noted
    return has_hung_up


def states(stack: Stack) -> list[str]:
    return [job["state"] for job in stack.jobs()]


@contextmanager
def subscribers_watched(valkey: ValkeyServer | None) -> Iterator[list[int]]:
    """What Valkey holds for each subscriber that has not read it, sampled all the time."""
    seen: list[int] = []
    has_ended = threading.Event()

    def watch() -> None:
        with redis.Redis.from_url(valkey.url if valkey else "") as client:
            while not has_ended.wait(0.01):
                listed = client.client_list(_type="pubsub")
                seen.extend(int(each["omem"]) for each in listed)

    watcher = threading.Thread(target=watch, daemon=True)
    if valkey is not None:
        watcher.start()
    try:
        yield seen
    finally:
        has_ended.set()
        if valkey is not None:
            watcher.join(10)


def test_clients_that_read_20_mb_lines_at_full_speed_get_every_byte_and_disturb_nobody(
    new_stack: NewStack, target: RawTarget, broker_url: str, request: pytest.FixtureRequest
) -> None:
    stack = new_stack_of(new_stack, target)
    is_redis = broker_url.startswith("redis")
    valkey = request.getfixturevalue("valkey") if is_redis else None

    def read(name: str) -> bytes:
        with stream(stack.url, body=asks(name)) as opened:
            return opened.rest()

    with ThreadPoolExecutor(CLIENTS) as pool, stream(stack.url, body=asks("paced")) as innocent:
        innocent.read_line()
        with subscribers_watched(valkey) as unread_bytes:
            names = [f"client {number}" for number in range(CLIENTS)]
            reading = [pool.submit(read, name) for name in names]
            arrivals = [time.monotonic()]
            for _ in range(PACED_LINES - 1):
                assert json.loads(innocent.read_line())["message"]
                arrivals.append(time.monotonic())
            assert innocent.rest() == b""
            answers = [each.result(LIMIT_S) for each in reading]

    assert [hashlib.sha256(answer).digest() for answer in answers] == [
        hashlib.sha256(big_line(name)).digest() for name in names
    ]
    wait_for(lambda: states(stack) == ["succeeded"] * (CLIENTS + 1))
    longest_gap_s = max(after - before for before, after in itertools.pairwise(arrivals))
    assert longest_gap_s < 10, "the innocent stream stood still"
    print(f"longest gap {longest_gap_s:.3f} s, unread {max(unread_bytes, default=0) / MIB:.1f} MiB")
    assert max(unread_bytes, default=0) < 9 * MIB


def test_a_client_that_reads_slowly_is_waited_for_and_not_cut_off(
    new_stack: NewStack, target: RawTarget
) -> None:
    # The whole takes longer than the client's limit, and foreman pauses longer than a target may
    # be silent: neither counts.
    stack = new_stack_of(new_stack, target, FOREMAN_CLIENT_TIMEOUT="5", FOREMAN_TARGET_SILENCE="1")
    expected = big_line("slow")
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 256 * 1024)
        slow.settimeout(LIMIT_S)
        slow.connect(("127.0.0.1", stack.port))
        body = json.dumps(asks("slow")).encode()
        slow.sendall(
            b"POST /api/chat HTTP/1.0\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%b"
            % (len(body), body)
        )
        received = bytearray()
        has_rested = False
        began_at = time.monotonic()
        while piece := slow.recv(PIECE_BYTES):
            received += piece
            if len(received) > BIG_BYTES // 3 and not has_rested:
                has_rested = True
                time.sleep(2.5)
            # No faster than 3 MB a second: about 7 s.
            time.sleep(max(began_at + len(received) / 3_000_000 - time.monotonic(), 0))

    assert received.partition(b"\r\n\r\n")[2] == expected
    wait_for(lambda: states(stack) == ["succeeded"])


@ON_ONE_BROKER
def test_a_client_that_stops_reading_frees_its_slot_within_its_limit_of_time(
    new_stack: NewStack, target: RawTarget
) -> None:
    stack = new_stack_of(new_stack, target, FOREMAN_CLIENT_TIMEOUT="2")
    has_hung_up = note_hang_up(target)
    connection = http.client.HTTPConnection("127.0.0.1", stack.port, timeout=LIMIT_S)
    connection.request("POST", "/api/chat", json.dumps(asks("deaf")))
    connection.getresponse().read(10)

    assert has_hung_up.wait(20)
    wait_for(lambda: states(stack) == ["cancelled"])
    connection.close()


@ON_ONE_BROKER
def test_a_cancellation_ends_a_paused_stream_at_once(
    new_stack: NewStack, target: RawTarget
) -> None:
    stack = new_stack_of(new_stack, target, FOREMAN_CLIENT_TIMEOUT="60")
    with stream(stack.url, body=asks("cancelled")) as opened:
        opened.answer.read(10)
        # Nothing moves any more: the window is full, and all buffers on the way are.
        time.sleep(2)
        stack.post(f"/jobs/{opened.job_id}/cancel", {})

        wait_for(lambda: stack.jobs()[0]["ended_at"] is not None, 5)
    assert states(stack) == ["cancelled"]


def test_a_web_process_that_dies_leaves_no_paused_run(
    new_stack: NewStack, target: RawTarget
) -> None:
    stack = new_stack_of(new_stack, target, FOREMAN_CLIENT_TIMEOUT="300")
    has_hung_up = note_hang_up(target)
    with stream(stack.url, body=asks("orphan")) as opened:
        opened.answer.read(10)

        stack.processes["web"].kill()

        # Two leases of silence, and the next heartbeat.
        assert has_hung_up.wait(30)
    wait_for(lambda: states(stack) == ["cancelled"], 20)
