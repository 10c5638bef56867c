"""Receivers of webhooks: each fails the first attempt for each job in its own way."""

import json
import socket
import threading

from tests.chaos.row import Promise, Row, Sees
from tests.chaos.rows.faults import nothing
from tests.fakes.receiver import Answer, Got, ok, reset, slow_body, slow_headers, status

PART = "receivers"
HUGE = status(200, body=b"x" * 10_000_000)


def first_of_each_job(answer: Answer) -> Answer:
    """`answer` for the first request of each job, and success for all that follow."""
    known: set[str] = set()
    lock = threading.Lock()

    def choose(connection: socket.socket, got: Got) -> None:
        job_id = json.loads(got.body)["data"]["job_id"]
        with lock:
            is_first = job_id not in known
            known.add(job_id)
        (answer if is_first else ok)(connection, got)

    return choose


def _row(name: str, does: str, answer: Answer, promise: Promise) -> Row:
    return Row(
        name=name,
        part=PART,
        does=does,
        fault=nothing,
        promise=promise,
        holds=0.75,
        receivers={"good": ok, "bad": answer},
    )


def _promise(says: str, also_s: float, unsent: tuple[str, ...] = ()) -> Promise:
    return Promise(
        says=says, sees=Sees.NOTHING, accepts=True, also_s=also_s, refused=("bad",), unsent=unsent
    )


_AGAIN = "the same event comes again after 5 s, the later ones after it; others are not delayed"
RECEIVER_ROWS = [
    _row("receiver-500", "a receiver answers 500, then 200", first_of_each_job(status(500)),
         _promise(_AGAIN, 8)),
    _row("receiver-slow-head", "a receiver's headers never end, then 200",
         first_of_each_job(slow_headers), _promise(f"after 15 s: {_AGAIN}", 30)),
    _row("receiver-slow-body", "a receiver's body never ends, then 200",
         first_of_each_job(slow_body), _promise(f"after 15 s: {_AGAIN}", 30)),
    _row("receiver-huge-body", "a receiver answers 10 MB", first_of_each_job(HUGE),
         _promise("64 KiB of it are read; the event is delivered", 0)),
    _row("receiver-resets", "a receiver resets, then 200", first_of_each_job(reset),
         _promise(_AGAIN, 8)),
    _row("receiver-redirects", "a receiver answers 301, then 200",
         first_of_each_job(status(301, "Location: http://127.0.0.1:1/")),
         _promise(f"the redirect is not followed; {_AGAIN}", 8)),
    _row("receiver-gone", "a receiver answers 410", status(410),
         _promise("nothing more is sent about the job", 0, unsent=("bad",))),
    _row("receiver-busy", "a receiver answers 429 with `Retry-After: 2`, then 200",
         first_of_each_job(status(429, "Retry-After: 2")), _promise(_AGAIN, 8)),
]  # fmt: skip
