"""Deadlines, times to start and cancels: each job has one end, and the target is hung up on."""

from datetime import timedelta
from typing import Any

import pytest

from foreman.simulation.process import SimulationProcess
from tests.integration.runs.ground import Jobs
from tests.stack import wait_for

# A job that no target may run waits.
WAITS: dict[str, Any] = {"pinned_target": "nowhere"}


def hung_up(ollama: SimulationProcess) -> bool:
    return [each["ended"] for each in ollama.log("generation")] == ["client_gone"]


@pytest.mark.parametrize("fault", ["stall_in_stream", "stall_before"])
def test_a_working_job_is_stopped_at_its_deadline(
    jobs: Jobs, ollama: SimulationProcess, fault: str
) -> None:
    ollama.fault(fault, path="/api/chat", after_tokens=3)
    job_id = jobs.submit(columns="deadline_at = now() + interval '2500 ms'")

    row = jobs.wait(job_id)

    assert (row["state"], row["attempt"]) == ("failed", 1)
    assert (row["error_code"], row["error_is_permanent"]) == ("deadline", True)
    assert row["ended_at"] - row["deadline_at"] < timedelta(seconds=2)
    wait_for(lambda: hung_up(ollama), 5)
    assert jobs.artifacts(job_id) == {}


def test_a_job_that_waits_expires_at_its_deadline(jobs: Jobs) -> None:
    job_id = jobs.submit(columns="deadline_at = now() + interval '100 ms'", **WAITS)

    row = jobs.wait(job_id)

    assert (row["state"], row["error_code"], row["attempt"]) == ("expired", "deadline", 0)
    assert "deadline_seconds" in row["error_message"]


def test_a_job_that_is_not_started_in_time_says_so_in_its_own_words(jobs: Jobs) -> None:
    job_id = jobs.submit(wait_s=0.1, **WAITS)

    row = jobs.wait(job_id)

    assert (row["state"], row["error_code"]) == ("expired", "ttl")
    assert "ttl_seconds" in row["error_message"]
    assert row["error_is_permanent"] is False


def test_a_job_that_was_started_in_time_may_be_tried_again_after_it(
    jobs: Jobs, ollama: SimulationProcess
) -> None:
    ollama.fault("error500", path="/api/chat", times=1)
    job_id = jobs.submit(wait_s=60)
    jobs.wait_until_told(job_id, "ready_at")
    expire = "UPDATE jobs SET expires_at = ready_at - interval '1 s' WHERE id = %s RETURNING id"
    jobs.stack.rows(expire, job_id)

    row = jobs.wait(job_id)

    assert (row["state"], row["attempt"]) == ("succeeded", 2)
    assert row["working_at"] > row["expires_at"]


def test_a_cancel_reaches_a_working_job_by_its_row_alone(
    jobs: Jobs, ollama: SimulationProcess
) -> None:
    ollama.fault("stall_in_stream", path="/api/chat", after_tokens=3)
    job_id = jobs.submit()
    jobs.wait_until_told(job_id, "output_tokens")

    jobs.cancel(job_id)

    row = jobs.wait(job_id)
    assert (row["state"], row["error_code"]) == ("cancelled", "cancelled")
    wait_for(lambda: hung_up(ollama), 5)
    assert jobs.artifacts(job_id) == {}
