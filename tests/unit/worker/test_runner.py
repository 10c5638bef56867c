"""What a task tells the worker's thread of its run, whatever happens to it."""

import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import pytest

from foreman.adapters.target import TargetRequest
from foreman.core.frames import Head
from foreman.core.queues import Residency
from foreman.core.states import JobState, Phase
from foreman.errors import (
    DatabaseUnavailable,
    DeadlinePassed,
    Defect,
    ForemanError,
    JobCancelled,
    JobTooLong,
    LoadFailed,
    TargetCut,
    TargetUnreachable,
    WorkerLost,
)
from foreman.runtime import WorkerRuntime
from foreman.store import runs, upkeep
from foreman.worker.events import Claimed, Ended, Event, Unclaimed
from foreman.worker.live import LiveRuns
from foreman.worker.runner import Runner
from tests.factories import JOB_ID, NoDatabase
from tests.stack import wait_for
from tests.unit.services.test_collecting import claim

TAG = 7
ANSWER = b'{"model":"m","response":"hi","done":true}\n'


class Call:
    """A target that answers with these chunks, or fails; between them it waits for `goes_on`."""

    def __init__(self) -> None:
        self.chunks_to_come = [ANSWER]
        self.error: ForemanError | None = None
        self.goes_on = threading.Event()
        self.goes_on.set()
        self.sent = 0
        self.is_aborted = False

    def send(self, request: TargetRequest, **_: object) -> Head:
        self.sent += 1
        if self.error is not None:
            raise self.error
        return Head(200, [("Content-Type", "application/x-ndjson")])

    def chunks(self) -> Iterator[bytes]:
        for chunk in self.chunks_to_come:
            yield chunk
            assert self.goes_on.wait(10)
        if self.is_aborted:
            raise TargetCut("hung up")

    def abort(self) -> None:
        self.is_aborted = True
        self.goes_on.set()

    def close(self) -> None: ...


class Ground:
    """A runner over a target and a database that are scripted, and what it told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.told: queue.Queue[Event] = queue.Queue()
        self.ends: list[tuple[Any, ...]] = []
        self.claims: list[dict[str, Any]] = []
        self.lost: list[str] = []
        self.calls: list[Call] = []
        self.on_claim: Callable[[], Any] = lambda: replace(claim(), time_left_s=None)
        self.call = Call()
        settings = SimpleNamespace(
            lease_s=15, web_silence_s=30, artifact_max_bytes=2**20, job_timeout_s=60,
            first_byte_s=5, stream_buffer_bytes=2**20, keep_loaded=False,
        )  # fmt: skip
        runtime: Any = SimpleNamespace(
            database=NoDatabase(),
            worker="worker1",
            settings=settings,
            targets={"gpu": SimpleNamespace(call=lambda: self.call)},
        )
        self.live = LiveRuns()
        self.settings = settings
        self.runner = Runner(
            cast(WorkerRuntime, runtime),
            self.live,
            self.told.put,
            lambda target, trouble: self.lost.append(target),
        )
        monkeypatch.setattr(runs, "claim_job", self._claim_job)
        monkeypatch.setattr(runs, "finish_run", self._finish)
        monkeypatch.setattr(runs, "give_back", self._give_back)
        monkeypatch.setattr(runs, "mark_generating", lambda *_: self.ends.append(("generating",)))
        monkeypatch.setattr(upkeep, "has_waiting", lambda *_: True)
        monkeypatch.setattr("foreman.services.ends.keep_artifacts", lambda *_: True)

    def start(self, *, is_ready: bool = True, tag: int = TAG) -> threading.Thread:
        """Hand a job over and let its task begin."""
        self.runner.expect(tag, str(JOB_ID), target="gpu", is_ready=is_ready)
        thread = threading.Thread(target=self.runner.run, args=(tag,))
        thread.start()
        return thread

    def run(self, *, is_ready: bool = True) -> list[Event]:
        """The whole of a run; what it told."""
        self.start(is_ready=is_ready).join(10)
        return self.events()

    def events(self) -> list[Event]:
        return [self.told.get_nowait() for _ in range(self.told.qsize())]

    def next(self) -> Event:
        return self.told.get(timeout=10)

    def _claim_job(self, *_: object, **how: Any) -> Any:
        self.claims.append(how)
        return self.on_claim()

    def _finish(self, _: object, job_id: Any, fence: int, to: JobState, **more: Any) -> bool:
        failure = more["failure"]
        self.ends.append((to, failure and failure.code))
        return True

    def _give_back(self, _: object, job_id: Any, fence: int, **more: Any) -> bool:
        self.ends.append(("given back", more["reason"]))
        return True


@pytest.fixture
def ground(monkeypatch: pytest.MonkeyPatch) -> Ground:
    return Ground(monkeypatch)


def claimed(residency: Residency | None = None) -> Claimed:
    residency = residency or Residency("m:latest")
    return Claimed(tag=TAG, model="m:latest", residency=residency, waited_s=0.0, attempts_left=2)


def ended(error: ForemanError | None = None, **changes: Any) -> Ended:
    return replace(Ended(tag=TAG, error=error, has_bytes=True, unloads=False), **changes)


def test_a_run_whose_residency_is_ready_goes_straight_on(ground: Ground) -> None:
    assert ground.run() == [claimed(), ended()]

    assert ground.ends == [(JobState.SUCCEEDED, None)]
    assert [each["phase"] for each in ground.claims] == [Phase.GENERATING]
    assert ground.live.claimed() == {}


def test_a_run_whose_residency_is_not_ready_names_it_and_waits(ground: Ground) -> None:
    body = b'{"model":"m","options":{"num_ctx":4096,"seed":1}}'
    ground.on_claim = lambda: replace(claim(), body=body, time_left_s=None)
    task = ground.start(is_ready=False)

    assert ground.next() == claimed(Residency("m:latest", '{"num_ctx":4096}'))
    assert (ground.call.sent, ground.ends) == (0, [])
    ground.live.check_times(0.0)  # a load does not count
    ground.live.proceed(TAG, None)
    task.join(10)

    assert ground.events() == [ended()]
    assert ground.ends == [("generating",), (JobState.SUCCEEDED, None)]
    assert [each["phase"] for each in ground.claims] == [Phase.LOADING]


def test_a_run_ends_by_the_error_of_its_load(ground: Ground) -> None:
    task = ground.start(is_ready=False)
    assert ground.next() == claimed()

    error = LoadFailed("no room")
    ground.live.proceed(TAG, error)
    task.join(10)

    assert ground.events() == [ended(error, has_bytes=False)]
    assert ground.ends == [("given back", error.code)]
    assert ground.call.sent == 0


def test_a_run_is_stopped_while_it_waits_for_its_load(ground: Ground) -> None:
    task = ground.start(is_ready=False)
    assert ground.next() == claimed()

    error = JobCancelled()
    ground.live.stop(TAG, error)
    task.join(10)

    assert ground.events() == [ended(error, has_bytes=False)]
    assert ground.ends == [(JobState.CANCELLED, error.code)]


def test_a_job_that_does_not_wait_any_more_is_unclaimed(ground: Ground) -> None:
    ground.on_claim = lambda: None

    assert ground.run() == [Unclaimed(TAG, is_looked_at=True)]
    assert ground.ends == []


def test_a_job_whose_row_nobody_could_look_at_is_unclaimed_and_goes_back(ground: Ground) -> None:
    def fail() -> Any:
        raise DatabaseUnavailable("away")

    ground.on_claim = fail

    assert ground.run() == [Unclaimed(TAG, is_looked_at=False)]


def test_a_run_that_is_stopped_before_its_task_begins_never_begins(ground: Ground) -> None:
    ground.runner.expect(TAG, str(JOB_ID), target="gpu", is_ready=True)

    ground.live.stop(TAG, WorkerLost())
    assert ground.events() == [Unclaimed(TAG, is_looked_at=False)]

    ground.runner.run(TAG)
    assert (ground.events(), ground.claims) == ([], [])


@pytest.mark.parametrize("is_ready", [True, False])
def test_a_run_that_is_stopped_while_it_is_claimed_asks_no_target(
    ground: Ground, is_ready: bool
) -> None:
    def stop() -> Any:
        ground.live.stop(TAG, WorkerLost())
        return replace(claim(), time_left_s=None)

    ground.on_claim = stop

    assert ground.run(is_ready=is_ready) == [Unclaimed(TAG, is_looked_at=True)]
    assert (ground.call.sent, ground.ends) == (0, [("given back", WorkerLost.code)])


def test_a_run_is_stopped_in_the_middle_of_its_answer_unless_only_silent_ones_are(
    ground: Ground,
) -> None:
    ground.call.goes_on.clear()
    task = ground.start()
    wait_for(lambda: [run for run in ground.live.claimed().values() if run.received_bytes])

    ground.live.stop(TAG, WorkerLost(), only_silent=True)
    assert not ground.call.is_aborted
    error = JobCancelled()
    ground.live.stop(TAG, error)
    ground.live.stop(TAG, WorkerLost())  # the first one counts
    task.join(10)

    assert ground.events() == [claimed(), ended(error)]
    assert ground.ends == [(JobState.CANCELLED, error.code)]


def test_a_run_that_takes_too_long_is_stopped(ground: Ground) -> None:
    ground.call.goes_on.clear()
    task = ground.start()
    wait_for(lambda: [run for run in ground.live.claimed().values() if run.received_bytes])

    ground.live.check_times(60.0)
    assert not ground.call.is_aborted
    ground.live.check_times(0.0)
    task.join(10)

    end = ground.events()[-1]
    assert isinstance(end, Ended)
    assert isinstance(end.error, JobTooLong)


def test_a_run_is_stopped_at_its_deadline(ground: Ground) -> None:
    ground.on_claim = lambda: replace(claim(), time_left_s=0.01)
    ground.call.goes_on.clear()

    assert [type(event) for event in ground.run()] == [Claimed, Ended]
    assert ground.ends == [(JobState.FAILED, DeadlinePassed.code)]


def test_a_target_that_accepts_no_connection_is_lost(ground: Ground) -> None:
    ground.call.error = TargetUnreachable("nobody there")

    assert ground.run() == [claimed(), ended(ground.call.error, has_bytes=False)]
    assert ground.lost == ["gpu"]


def test_a_defect_ends_its_job_and_does_not_wait_for_the_reaper(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr("foreman.worker.runner.check_final", fail)

    events = ground.run()

    assert [type(event) for event in events] == [Claimed, Ended]
    assert isinstance(events[1], Ended)
    assert isinstance(events[1].error, Defect)
    assert ground.ends == [(JobState.FAILED, Defect.code)]


def test_a_defect_outside_of_the_run_is_told_as_well(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ground.runner, "_sink", None)
    ground.runner.expect(TAG, str(JOB_ID), target="gpu", is_ready=True)

    with pytest.raises(TypeError):
        ground.runner.run(TAG)

    assert ground.events() == [Unclaimed(TAG, is_looked_at=True)]
    assert ground.live.claimed() == {}


@pytest.mark.parametrize(("keeps", "unloads"), [(True, False), (False, True)])
def test_a_request_that_unloads_the_model_is_told_unless_that_is_left_out(
    ground: Ground, keeps: bool, unloads: bool
) -> None:
    ground.settings.keep_loaded = keeps
    body = b'{"model":"m","messages":[{"role":"user","content":"x"}],"keep_alive":0}'
    ground.on_claim = lambda: replace(claim(), body=body, time_left_s=None)

    assert ground.run() == [claimed(), ended(unloads=unloads)]


def test_of_two_runs_of_one_job_the_newer_one_is_the_jobs(ground: Ground) -> None:
    calls = [Call(), Call()]
    tasks = []
    for number, call in enumerate(calls):
        call.goes_on.clear()
        ground.call = call
        ground.on_claim = partial(replace, claim(), fence=number, time_left_s=None)
        tasks.append(ground.start(tag=number))
        wait_for(partial(getattr, call, "sent"))

    assert [run.tag for run in ground.live.claimed().values()] == [1]
    ground.live.note_taken(JOB_ID, 0, 5)  # of the older one: nobody waits for it

    for call in calls:
        call.goes_on.set()
    for task in tasks:
        task.join(10)
    assert ground.live.claimed() == {}
