"""Both ends of one synchronous job in one process: a run on a real socket, and its follower.

No broker and no database: frames go straight into the mailbox, and the row's end is kept here.
"""

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from foreman.adapters.catalog import Catalog
from foreman.adapters.channel import Outgoing
from foreman.adapters.inbox import Mailbox
from foreman.adapters.target import TargetClient
from foreman.core.frames import Failure, Frame, FrameKind
from foreman.core.states import JobState, Source
from foreman.core.surface import Dialect
from foreman.errors import ForemanError
from foreman.parsing import TargetSpec
from foreman.runtime import WebRuntime, WorkerRuntime
from foreman.services.follow import Follower
from foreman.services.submit import Ticket
from foreman.store import runs
from foreman.worker.live import LiveRuns
from foreman.worker.runner import Runner
from tests.factories import JOB_ID, NoDatabase
from tests.unit.services.test_collecting import claim

WINDOW_BYTES = 128 * 1024
# Of a whole answer; what is longer is passed on as it comes.
BUFFER_BYTES = 4096


class AnsweringTarget:
    """Gives every connection the bytes of `answer`, and closes it."""

    def __init__(self) -> None:
        self.answer = b""
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._server.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)
                connection.sendall(self.answer)


class ToMailbox:
    """What `Outgoing` does for a run, without a broker."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox
        self._seq = 0

    def send(self, kind: FrameKind, payload: bytes = b"") -> None:
        self._mailbox.put(Frame(JOB_ID, 1, self._seq, kind, payload))
        self._seq += 1

    def credit(self, taken_bytes: int) -> None: ...

    def stop(self) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class Seen:
    """What the client got, and what the row says."""

    status: int
    headers: dict[str, str]
    body: bytes
    is_closed_early: bool
    state: JobState
    failure: Failure | None


class Pair:
    """A worker and a web process, as far as one job sees of them."""

    def __init__(self, target: AnsweringTarget, monkeypatch: pytest.MonkeyPatch) -> None:
        self._target = target
        self._end: tuple[JobState, Failure | None] | None = None
        monkeypatch.setattr(runs, "finish_run", self._finish_run)
        spec = TargetSpec(name="gpu", url=target.url, slots=1)
        self.client = TargetClient(spec, silence_s=20, connections=1)

    def _finish_run(self, *_: object, failure: Failure | None = None, **__: object) -> bool:
        self._end = (cast(JobState, _[3]), failure)
        return True

    def exchange(
        self,
        answer: bytes,
        monkeypatch: pytest.MonkeyPatch,
        *,
        dialect: Dialect,
        streams: bool,
        waits: bool,
    ) -> Seen:
        """One request to a target that sends `answer`; `waits`: keep-alive bytes go out first."""
        self._target.answer, self._end = answer, None
        mailbox = Mailbox(WINDOW_BYTES, lambda fence, taken_bytes: None, lambda: None)
        follower = Follower(cast(WebRuntime, web_runtime()), ticket(mailbox, dialect, streams))
        claimed = replace(
            claim(web_id=JOB_ID, source=Source.SYNC, attempt=3, streams=streams), time_left_s=None
        )
        monkeypatch.setattr(runs, "claim_job", lambda *_, **__: claimed)
        runtime = cast(WorkerRuntime, self._worker_runtime(mailbox))
        runner = Runner(runtime, LiveRuns(), tell=lambda event: None, lose=lambda *_: None)
        begun = follower.start() if waits else None
        runner.expect(1, str(JOB_ID), target="gpu", is_ready=True)
        runner.run(1)
        assert self._end is not None
        try:
            begun = begun or follower.start()
        except ForemanError as error:
            return Seen(error.status, {}, str(error).encode(), False, *self._end)
        body = bytearray()
        try:
            for piece in begun.body:
                body += piece
        except ForemanError:
            return Seen(begun.status, dict(begun.headers), bytes(body), True, *self._end)
        return Seen(begun.status, dict(begun.headers), bytes(body), False, *self._end)

    def _worker_runtime(self, mailbox: Mailbox) -> Any:
        outgoing = cast(Outgoing, ToMailbox(mailbox))
        return SimpleNamespace(
            database=NoDatabase(),
            worker="worker1",
            settings=SimpleNamespace(
                lease_s=15,
                web_silence_s=30,
                artifact_max_bytes=2**20,
                keep_loaded=False,
                job_timeout_s=60,
                first_byte_s=20,
                stream_buffer_bytes=BUFFER_BYTES,
            ),
            targets={"gpu": self.client},
            senders=SimpleNamespace(open=lambda web_id, job_id, fence: outgoing),
        )


def web_runtime() -> Any:
    def ignore(job_id: object) -> None: ...

    return SimpleNamespace(
        settings=SimpleNamespace(
            sync_wait_s=60,
            lease_s=15,
            keepalive="always",
            keepalive_after_s=0,
            keepalive_every_s=20,
            stream_buffer_bytes=BUFFER_BYTES,
        ),
        database=NoDatabase(),
        catalog=Catalog({}),
        leased=frozenset(),
        inbox=SimpleNamespace(forget=ignore),
        answering=SimpleNamespace(put=ignore),
    )


def ticket(mailbox: Mailbox, dialect: Dialect, streams: bool) -> Ticket:
    route = SimpleNamespace(dialect=dialect)
    opened: Any = SimpleNamespace(
        job_id=JOB_ID,
        mailbox=mailbox,
        streams=streams,
        change="",
        model="m:latest",
        pinned_target=None,
        request=SimpleNamespace(route=route),
    )
    return cast(Ticket, opened)


@contextmanager
def pair(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    with closing(AnsweringTarget()) as target:
        opened = Pair(target, monkeypatch)
        with closing(opened.client):
            yield opened
