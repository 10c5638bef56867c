"""`deliveries replay` of the command line: it says how many it will send, and asks."""

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from foreman.client import Client
from tests.client import chat
from tests.stack import ROOT, Stack, WebAlone

SINCE = ["--since", "2020-01-01T00:00:00Z"]


@pytest.fixture
def owed(web_alone: WebAlone) -> Iterator[int]:
    """How many deliveries are owed and far from due, while the relay stands still."""
    web_alone.processes["relay"].signal(signal.SIGSTOP)
    with Client(web_alone.url, name="tests") as client:
        for _ in range(3):
            job = client.submit("/api/chat", chat(), webhook={"url": "https://receiver.example/"})
            client.cancel(job.id)
    web_alone.rows("UPDATE deliveries SET next_at = 'infinity' RETURNING 1")
    yield web_alone.rows("SELECT count(*) FROM deliveries")[0]["count"]
    web_alone.rows("DELETE FROM deliveries RETURNING 1")
    web_alone.processes["relay"].signal(signal.SIGCONT)


def replay(stack: Stack, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "foreman", "deliveries", "replay", *SINCE, *arguments],
        cwd=ROOT, env=stack.env | {"FOREMAN_URL": stack.url}, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def due(stack: Stack) -> int:
    rows = stack.rows("SELECT count(*) FROM deliveries WHERE next_at <= now()")
    return int(rows[0]["count"])


def test_a_count_sends_nothing(web_alone: WebAlone, owed: int) -> None:
    done = replay(web_alone, "--dry-run", "--json")

    assert (done.returncode, json.loads(done.stdout)) == (0, {"count": owed})
    assert due(web_alone) == 0


def test_nothing_is_sent_where_nobody_can_be_asked(web_alone: WebAlone, owed: int) -> None:
    done = replay(web_alone)

    assert (done.returncode, done.stdout) == (1, "")
    assert f"{owed} deliveries to send again" in done.stderr
    assert due(web_alone) == 0


def test_with_yes_it_sends_what_it_counted(web_alone: WebAlone, owed: int) -> None:
    done = replay(web_alone, "--yes")

    assert (done.returncode, done.stdout) == (0, f"{owed}\n")
    assert due(web_alone) == owed


@pytest.mark.parametrize(("answer", "sent"), [(b"n\n", False), (b"y\n", True), (b"\n", False)])
def test_at_a_terminal_it_asks(web_alone: WebAlone, owed: int, answer: bytes, sent: bool) -> None:
    ours, theirs = pty.openpty()
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "foreman", "deliveries", "replay", *SINCE],
            cwd=ROOT, env=web_alone.env | {"FOREMAN_URL": web_alone.url}, stdin=theirs,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        os.write(ours, answer)
        _, told = process.communicate(timeout=60)
    finally:
        os.close(ours)
        os.close(theirs)

    assert b"send them? [y/N]" in told
    assert process.returncode == (0 if sent else 1)
    assert due(web_alone) == (owed if sent else 0)
