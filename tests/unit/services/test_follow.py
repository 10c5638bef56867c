"""A client's request after a long silence: what the row says, and frames that come meanwhile."""

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from foreman.adapters.catalog import Catalog
from foreman.adapters.inbox import Mailbox
from foreman.core.frames import Frame, FrameKind, Head, encode_head
from foreman.core.states import JobState
from foreman.core.surface import Dialect
from foreman.errors import NoLiveTarget, WindowOverrun
from foreman.runtime import WebRuntime
from foreman.services import follow
from foreman.services.listening import Listener
from foreman.services.submit import Ticket
from foreman.store import jobs
from foreman.store.jobs import Ending
from tests.factories import JOB_ID, NoDatabase

SETTINGS = {"sync_wait_s": 60, "lease_s": 0.05, "keepalive": "off", "stream_buffer_bytes": 2**20}


def follower(mailbox: Mailbox) -> follow.Follower:
    return follow.Follower(*waiting(mailbox))


def waiting(mailbox: Mailbox) -> tuple[WebRuntime, Ticket]:
    """A web process, and the request in it whose frames come to this mailbox."""

    def ignore(job_id: object) -> None: ...

    runtime: Any = SimpleNamespace(
        settings=SimpleNamespace(**SETTINGS),
        database=NoDatabase(),
        catalog=Catalog({}),
        leased=frozenset(),
        inbox=SimpleNamespace(forget=ignore),
        answering=SimpleNamespace(put=ignore),
    )
    route = SimpleNamespace(dialect=Dialect.OLLAMA)
    ticket: Any = SimpleNamespace(
        job_id=JOB_ID,
        mailbox=mailbox,
        streams=False,
        change=None,
        model="m:latest",
        pinned_target=None,
        request=SimpleNamespace(route=route),
    )
    return cast(WebRuntime, runtime), cast(Ticket, ticket)


def frames(*parts: tuple[FrameKind, bytes]) -> list[Frame]:
    return [Frame(JOB_ID, 1, seq, kind, payload) for seq, (kind, payload) in enumerate(parts)]


@pytest.fixture
def ends_by(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], None]], None]:
    """The row says that the job succeeded; what is given happens at that very moment."""

    def install(meanwhile: Callable[[], None]) -> None:
        def read_ending(*_: object) -> Ending:
            meanwhile()
            return Ending(JobState.SUCCEEDED, None, None)

        monkeypatch.setattr(jobs, "read_ending", read_ending)

    return install


def test_frames_that_come_while_the_row_is_read_are_taken_in_their_order(
    ends_by: Callable[[Callable[[], None]], None],
) -> None:
    mailbox = Mailbox(2**20, lambda fence, taken_bytes: None, lambda: None)
    head = encode_head(Head(200, [("Content-Length", "2")]))
    answer = frames((FrameKind.HEAD, head), (FrameKind.DATA, b"{}"), (FrameKind.END, b""))

    def arrive() -> None:
        for frame in answer:
            mailbox.put(frame)

    ends_by(arrive)
    started = follower(mailbox).start()

    assert (started.status, b"".join(started.body)) == (200, b"{}")


def test_a_worker_that_overruns_its_window_is_not_taken_for_a_slow_client() -> None:
    mailbox = Mailbox(1000, lambda fence, taken_bytes: None, lambda: None)
    head = encode_head(Head(200, [("Content-Type", "application/json")]))
    for frame in frames((FrameKind.HEAD, head), *[(FrameKind.DATA, b"x" * 1500)] * 3):
        mailbox.put(frame)
    listener = Listener(*waiting(mailbox))

    with pytest.raises(WindowOverrun) as raised:
        list(iter(lambda: listener.next(float("inf")), b""))

    assert raised.value.code == "window_overrun"
    assert str(raised.value) == "The worker sent more of this stream than its window allows"


def test_a_request_waits_for_a_target_with_a_worker_and_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    away_s = {"one": 31.0, "two": 0.0}
    runtime, ticket = waiting(Mailbox(1000, lambda fence, taken_bytes: None, lambda: None))
    parts: Any = runtime
    parts.settings.absence_grace_s = 30.0
    parts.catalog = SimpleNamespace(
        look_up=lambda model: SimpleNamespace(targets=("one", "two")),
        away_s=away_s.__getitem__,
        troubles=lambda targets: "target one is off",
    )
    monkeypatch.setattr(jobs, "read_ending", lambda *_: Ending(JobState.QUEUED, None, None))
    monkeypatch.setattr(jobs, "give_up_job", lambda *_: True)

    parts.leased = frozenset({"two"})
    assert Listener(runtime, ticket).next(time.monotonic() + 0.2) is None

    parts.leased = frozenset({"one"})
    with pytest.raises(NoLiveTarget, match="target one is off"):
        Listener(runtime, ticket).next(time.monotonic() + 10)
