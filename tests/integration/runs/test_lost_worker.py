"""A worker that dies or stops in the middle of a job: another runs it, and there is one result."""

import json
import signal
from collections.abc import Iterator
from contextlib import closing

import pytest

from foreman.simulation.process import SimulationProcess
from tests.integration.conftest import NewOllama, NewStack
from tests.integration.runs.ground import Jobs
from tests.stack import wait_for

SETTINGS = {"FOREMAN_SHUTDOWN_S": "1"}


@pytest.fixture
def held(new_ollama: NewOllama) -> SimulationProcess:
    """A target whose first answer stops after some tokens."""
    ollama = new_ollama(tokens_per_s=0, load_s=0)
    ollama.fault("stall_in_stream", path="/api/chat", after_tokens=5, times=1)
    return ollama


@pytest.fixture
def jobs(new_stack: NewStack, held: SimulationProcess) -> Iterator[Jobs]:
    jobs = Jobs(new_stack(held, workers=2, settings=SETTINGS))
    with closing(jobs.database):
        yield jobs


def holder(jobs: Jobs, job_id: str) -> str:
    """The process that runs the job, once it has tokens of it."""
    return str(jobs.wait_until_told(job_id, "output_tokens")["worker"]).split("@")[0]


def test_a_job_whose_worker_is_killed_runs_again_at_once(jobs: Jobs) -> None:
    job_id = jobs.submit()

    jobs.stack.processes[holder(jobs, job_id)].kill()

    row = jobs.wait(job_id, limit_s=20)
    assert (row["state"], row["attempt"], row["fence"]) == ("succeeded", 2, 2)
    assert row["ready_at"] is None
    assert jobs.reasons(job_id) == [None, None, "worker_lost", None, None]
    assert [each["fence"] for each in jobs.artifacts(job_id).values()] == [2]


@pytest.mark.parametrize("broker_url", ["redis"], indirect=True)
def test_what_a_lost_worker_brings_late_is_not_kept(jobs: Jobs, held: SimulationProcess) -> None:
    job_id = jobs.submit()
    late = jobs.stack.processes[holder(jobs, job_id)]
    late.signal(signal.SIGSTOP)
    row = jobs.wait(job_id, limit_s=20)
    kept = jobs.artifacts(job_id)

    held.clear()  # now its answer goes on, too
    late.signal(signal.SIGCONT)

    # Its run ends: stopped with the lease, or fenced off if its answer was faster.
    wait_for(lambda: "run failed" in late.log_text() or "fenced off" in late.log_text())
    assert jobs.artifacts(job_id) == kept
    assert jobs.row(job_id) == row
    assert json.loads(jobs.result(job_id))["done"] is True


@pytest.mark.parametrize("broker_url", ["redis"], indirect=True)
def test_a_worker_that_has_lost_its_target_gives_its_job_back_before_the_reaper(
    jobs: Jobs,
) -> None:
    job_id = jobs.submit()
    holder(jobs, job_id)

    jobs.stack.rows("UPDATE targets SET fence = fence + 1 RETURNING fence")

    row = jobs.wait(job_id, limit_s=20)
    assert (row["state"], row["attempt"], row["fence"]) == ("succeeded", 2, 2)
    assert jobs.reasons(job_id)[2] == "worker_lost"
    assert "job reaped" not in jobs.stack.processes["relay"].log_text()


@pytest.mark.parametrize("broker_url", ["redis"], indirect=True)
def test_a_worker_that_stops_gives_its_job_back_and_no_attempt_is_lost(jobs: Jobs) -> None:
    job_id = jobs.submit(max_attempts=1)

    jobs.stack.processes[holder(jobs, job_id)].stop()

    row = jobs.wait(job_id)
    assert (row["state"], row["attempt"], row["fence"]) == ("succeeded", 1, 2)
    assert jobs.reasons(job_id)[2] == "shutting_down"
    assert row["ready_at"] is None
