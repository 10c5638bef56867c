"""`python -m foreman webhook-listen`: what somebody sees who tries webhooks out."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from foreman.core.webhooks import signed_headers
from foreman.embedded.probe import free_port
from foreman.listen import TOLERANCE_S, EventLog
from tests.integration.store.ledger import SECRET, Ledger
from tests.integration.webhooks.conftest import NewPump
from tests.stack import ROOT

BODY = b'{"type": "job.queued", "data": {"job_id": "1", "seq": 3, "model": "m"}}'
OTHER = "whsec_" + "b3RoZXIr" * 4

NewListener = Callable[..., "Listening"]


class Listening:
    """The command as it runs, and its output line by line."""

    def __init__(self, *options: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/"
        command = [sys.executable, "-m", "foreman", "webhook-listen", "--port", str(self.port)]
        self.process = subprocess.Popen(
            [*command, *options], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        assert self.line() == f"listening at {self.url}"

    def line(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().rstrip("\n")

    def stop(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def new_listener() -> Iterator[NewListener]:
    with ExitStack() as started:

        def make(*options: str) -> Listening:
            listening = Listening(*options)
            started.callback(listening.stop)
            return listening

        yield make


def test_a_jobs_events_are_printed_in_order(
    ledger: Ledger, new_pump: NewPump, new_listener: NewListener
) -> None:
    listening = new_listener("--secret", SECRET)
    job_id = ledger.ended(url=listening.url)

    new_pump().until(lambda: ledger.states(job_id) == ["succeeded"] * 3)

    lines = [listening.line() for _ in range(3)]
    assert [line.split()[1] for line in lines] == ["job.queued", "job.working", "job.succeeded"]
    assert all(f"job {job_id}" in line and line.endswith("verified") for line in lines)


def test_another_secret_is_refused_and_told(
    ledger: Ledger, new_pump: NewPump, new_listener: NewListener
) -> None:
    listening = new_listener("--secret", OTHER)
    job = ledger.accept(url=listening.url)

    new_pump().until_still()

    assert "not signed with this secret" in listening.line()
    assert ledger.attempts(ledger.owed(job.id)[0].id)[0]["status"] == 401


def taken(log: EventLog, *, age_s: float = 0, secret: str = SECRET, body: bytes = BODY) -> int:
    headers = signed_headers([secret], "id", int(time.time() - age_s), BODY)
    return log.take(headers, body)[0]


def test_only_what_is_signed_lately_and_whole_is_taken() -> None:
    log = EventLog([SECRET, OTHER])

    assert taken(log) == 204
    assert taken(log, secret=OTHER) == 204
    assert taken(log, age_s=TOLERANCE_S - 5) == 204
    assert taken(log, age_s=TOLERANCE_S + 5) == 401
    assert taken(log, age_s=-TOLERANCE_S - 5) == 401
    assert taken(log, body=BODY + b" ") == 401
    assert taken(log, secret="whsec_" + "dGhpcmRz" * 4) == 401


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"type": 1, "data": []}', b"\xff", b"7"])
def test_a_body_that_is_no_event_is_refused(body: bytes) -> None:
    headers = signed_headers([SECRET], "id", int(time.time()), body)

    assert EventLog([SECRET]).take(headers, body)[0] == 400


def test_an_event_that_comes_twice_is_told_as_not_new() -> None:
    log = EventLog([])
    headers = signed_headers([], "id", 0, BODY)

    lines = [log.take(headers, BODY)[1] for _ in range(2)]

    assert ["not new" in line for line in lines] == [False, True]
