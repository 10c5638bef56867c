"""Runs that are stopped at the moment at which they are claimed."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from foreman.core.frames import Failure
from foreman.core.states import JobState, Phase
from foreman.errors import Defect, ForemanError, WorkerLost
from foreman.runtime import WorkerRuntime
from foreman.services import run
from foreman.services.running import Run
from foreman.store import runs
from tests.factories import JOB_ID, NoDatabase
from tests.unit.services.test_collecting import claim


class Residence:
    """Has all loaded, and notes how runs end."""

    phase = Phase.GENERATING

    def __init__(self) -> None:
        self.ends: list[ForemanError | None] = []

    def await_loaded(self, run: Run) -> None:
        raise AssertionError("it goes on")

    def has_more(self, queue: str) -> bool:
        return False

    def note_unclaimed(self) -> None: ...

    def note_end(self, run: Run, error: ForemanError | None) -> None:
        self.ends.append(error)


def runner_of(residence: Residence) -> run.Runner:
    call = SimpleNamespace(abort=lambda: None, close=lambda: None)
    runtime: Any = SimpleNamespace(
        database=NoDatabase(),
        worker="worker1",
        settings=SimpleNamespace(lease_s=15, web_silence_s=30, artifact_max_bytes=2**20),
        targets={"gpu": SimpleNamespace(call=lambda: call)},
        catalog=None,
    )
    return run.Runner(cast(WorkerRuntime, runtime), residence)


def test_a_run_that_is_claimed_while_all_are_stopped_is_stopped_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    residence = Residence()
    runner = runner_of(residence)
    given_back: list[Any] = []

    def claim_job(*_: object, **__: object) -> Any:
        runner.stop_all(WorkerLost())
        return replace(claim(), time_left_s=None)

    def give_back(_: object, job_id: Any, fence: int, **more: Any) -> bool:
        given_back.append((job_id, fence, more["is_counted"]))
        return True

    monkeypatch.setattr(runs, "claim_job", claim_job)
    monkeypatch.setattr(runs, "give_back", give_back)

    runner.run(JOB_ID, target="gpu", on_claim=lambda: None, on_rest=lambda: None)

    assert [type(end) for end in residence.ends] == [WorkerLost]
    assert given_back == [(JOB_ID, 1, True)]


def test_a_defect_in_a_run_ends_its_job_and_does_not_wait_for_the_reaper(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    residence = Residence()  # which raises what no run should meet
    ends: list[tuple[Any, ...]] = []

    def finish_run(_: object, job_id: Any, fence: int, state: Any, **more: Any) -> bool:
        ends.append((job_id, fence, state, more["failure"]))
        return True

    monkeypatch.setattr(runs, "claim_job", lambda *_, **__: replace(claim(), time_left_s=None))
    monkeypatch.setattr(runs, "finish_run", finish_run)

    runner_of(residence).run(JOB_ID, target="gpu", on_claim=lambda: None, on_rest=lambda: None)

    told = Failure(500, "internal_error", "Internal error; see foreman's log", is_permanent=True)
    assert ends == [(JOB_ID, 1, JobState.FAILED, told)]
    assert [type(end) for end in residence.ends] == [Defect]
