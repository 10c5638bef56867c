"""What one large request body costs in memory: `python -m tests.bench.bodies [--mib N]`.

`--num-ctx max:N` sets FOREMAN_NUM_CTX, so that each body of a chat is changed on its way.

The web process and the worker, on the ways that a body can take; each is asked once before with a
small one. A body should cost either no more than one and a half times its size.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from foreman.simulation.process import SimulationProcess
from tests.bench.memory import PeakWatch
from tests.client import chat
from tests.servers import PostgresServer, ValkeyServer
from tests.stack import Stack, wait_for

MIB = 1024 * 1024
AIM = 1.5
BOUNDARY = "----large-body"
AS_SENT = "as-sent"

Post = Callable[[Stack, int], None]


def settings(mib: int, num_ctx: str = AS_SENT) -> dict[str, str]:
    """So that a body of this size is accepted, and changed to that context size."""
    return {
        "FOREMAN_MAX_BODY": f"{mib + 1}MiB",
        "FOREMAN_BODY_BUDGET": f"{2 * mib + 2}MiB",
        "FOREMAN_NUM_CTX": num_ctx,
    }


def post_form(stack: Stack, size_bytes: int) -> None:
    """A recording to transcribe, which the target answers at once."""
    parts = (("model", "sim-chat", b"sim-chat"), ("file", "a.wav", bytes(size_bytes)))
    body = b"".join(
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"'.encode()
        + (f'; filename="{file}"'.encode() if name == "file" else b"")
        + b"\r\n\r\n"
        + content
        + b"\r\n"
        for name, file, content in parts
    )
    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    body += f"--{BOUNDARY}--\r\n".encode()
    answer = stack.post("/v1/audio/transcriptions", body, timeout_s=120, headers=headers)
    assert answer.status == 200, answer.body[:1000]


def post_chat(stack: Stack, size_bytes: int) -> None:
    """A chat with a long prompt whose client waits."""
    answer = stack.post("/api/chat", _long_chat(size_bytes), timeout_s=120)
    assert answer.status == 200, answer.body[:1000]


def post_job(stack: Stack, size_bytes: int) -> None:
    """The same accepted with 202, to its end."""
    asked = {"endpoint": "/api/chat", "request": _long_chat(size_bytes)}
    answer = stack.post("/jobs", asked, timeout_s=120)
    assert answer.status == 202, answer.body[:1000]
    job_id = json.loads(answer.body)["id"]
    wait_for(lambda: stack.job(job_id)["ended_at"], 120, "the job has ended")
    assert stack.job(job_id)["state"] == "succeeded"


WAYS: dict[str, Post] = {
    "POST /v1/audio/transcriptions": post_form,
    "POST /api/chat": post_chat,
    "POST /jobs": post_job,
}


def _long_chat(size_bytes: int) -> dict[str, object]:
    return chat("sim-chat", messages=[{"role": "user", "content": "x" * size_bytes}])


def growth(stack: Stack, post: Post, size_bytes: int) -> dict[str, float]:
    """The most that each process grew while a body of this size was served, in sizes of it."""
    post(stack, 1000)
    pids = {name: stack.processes[name].process.pid for name in ("web", "worker1")}
    with PeakWatch(pids) as peak:
        post(stack, size_bytes)
    return {name: grown / size_bytes for name, grown in peak.growth_bytes.items()}


@contextmanager
def new_stack(mib: int, num_ctx: str) -> Iterator[Stack]:
    postgres, valkey = PostgresServer(), ValkeyServer()
    try:
        with SimulationProcess(demo=True, tokens_per_s=0, load_s=0, tokens=5) as target:
            stack = Stack(
                database_url=postgres.create_database(),
                broker_url=valkey.url,
                targets=f"gpu={target.url}?slots=2",
                settings=settings(mib, num_ctx),
                is_migrated=False,
            )
            with stack:
                yield stack
    finally:
        valkey.stop()
        postgres.stop()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.bodies", description=__doc__)
    parser.add_argument("--mib", type=int, default=100)
    parser.add_argument("--num-ctx", default=AS_SENT, help="FOREMAN_NUM_CTX, such as max:8192")
    args = parser.parse_args()
    for name, post in WAYS.items():
        with new_stack(
            args.mib, args.num_ctx
        ) as stack:  # fresh: what one way has left is not the next one's
            grown = growth(stack, post, args.mib * MIB)
        figures = ", ".join(f"{process} {times:.2f} x" for process, times in grown.items())
        is_met = max(grown.values()) <= AIM
        print(f"{name:32} {args.mib} MiB: {figures}  {'' if is_met else 'more than the aim'}")


if __name__ == "__main__":
    main()
