"""Transient errors are tried again after a pause, permanent ones are not."""

import json

import pytest

from foreman.simulation.process import SimulationProcess
from tests.integration.runs.ground import CHAT, Jobs

FAULTS = {
    "cut_before": "target_cut",
    "cut": "target_cut",
    "half_line": "target_cut",
    "error500": "target_failed",
    "error_in_stream": "target_failed",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_job_is_tried_again_after_a_pause_and_succeeds(
    jobs: Jobs, ollama: SimulationProcess, fault: str
) -> None:
    ollama.fault(fault, path="/api/chat", times=1, after_tokens=3)
    job_id = jobs.submit(columns="keeps_stream = true")

    paused = jobs.wait_until_told(job_id, "ready_at")
    row = jobs.wait(job_id)

    assert (paused["state"], paused["error_code"]) == ("queued", FAULTS[fault])
    assert paused["error_is_permanent"] is False
    assert (row["state"], row["attempt"], row["fence"]) == ("succeeded", 2, 2)
    assert (row["error_code"], row["error_message"]) == (None, None)
    assert row["working_at"] >= row["ready_at"]
    assert jobs.reasons(job_id) == [None, None, FAULTS[fault], None, None]
    # Nothing of the first run is in what is kept.
    assert {each["fence"] for each in jobs.artifacts(job_id).values()} == {2}
    assert len(json.loads(jobs.result(job_id))["message"]["content"].split()) == 41


def test_the_pause_is_two_seconds_more_or_less(jobs: Jobs, ollama: SimulationProcess) -> None:
    ollama.fault("error500", path="/api/chat", times=1)
    job_id = jobs.submit()

    jobs.wait_until_told(job_id, "ready_at")

    (event,) = jobs.stack.rows("SELECT at FROM events WHERE job_id = %s AND seq = 3", job_id)
    pause_s = (jobs.row(job_id)["ready_at"] - event["at"]).total_seconds()
    assert 1.6 <= pause_s <= 2.4
    jobs.wait(job_id)


def test_a_target_that_is_silent_is_left_and_the_job_is_run_when_it_is_well(
    jobs: Jobs, ollama: SimulationProcess
) -> None:
    ollama.fault("stall_before", path="/api/chat", times=1)
    job_id = jobs.submit()

    row = jobs.wait(job_id)

    assert (row["state"], row["attempt"]) == ("succeeded", 2)
    assert jobs.reasons(job_id)[2] == "target_timeout"


def test_a_job_whose_model_was_not_loaded_is_tried_again(
    jobs: Jobs, ollama: SimulationProcess
) -> None:
    ollama.fault("error500", path="/api/generate", times=1)
    job_id = jobs.submit({**CHAT, "model": "chain-b"})

    row = jobs.wait(job_id)

    assert (row["state"], row["attempt"]) == ("succeeded", 2)
    assert jobs.reasons(job_id)[2] == "load_failed"


def test_the_last_attempts_error_is_the_jobs_and_its_body_is_kept(
    jobs: Jobs, ollama: SimulationProcess
) -> None:
    ollama.fault("error500", path="/api/chat", times=2)
    job_id = jobs.submit(max_attempts=2)

    row = jobs.wait(job_id)

    told = json.loads(jobs.result(job_id))["error"]
    assert (row["state"], row["attempt"], row["status"]) == ("failed", 2, 500)
    assert (row["error_code"], row["error_is_permanent"]) == ("target_failed", False)
    assert row["error_message"] == told


@pytest.mark.parametrize(
    ("endpoint", "request_", "status"),
    [
        ("/api/chat", {**CHAT, "think": True}, 400),
        ("/api/chat", {**CHAT, "model": "nowhere"}, 404),
        ("/v1/chat/completions", {**CHAT, "model": "nowhere"}, 404),
        ("/v1/messages", {**CHAT, "model": "nowhere", "max_tokens": 1}, 404),
    ],
)
def test_what_the_target_refuses_fails_at_once_in_its_own_words(
    jobs: Jobs, endpoint: str, request_: dict[str, object], status: int
) -> None:
    job_id = jobs.submit(request_, endpoint)

    row = jobs.wait(job_id)

    error = json.loads(jobs.result(job_id))["error"]
    assert (row["state"], row["attempt"], row["status"]) == ("failed", 1, status)
    assert (row["error_code"], row["error_is_permanent"]) == ("target_refused", True)
    assert row["error_message"] == (error if isinstance(error, str) else error["message"])
    assert jobs.reasons(job_id)[-1] == "target_refused"


def test_a_job_that_pauses_can_be_cancelled(jobs: Jobs, ollama: SimulationProcess) -> None:
    ollama.fault("error500", path="/api/chat")
    job_id = jobs.submit()
    jobs.wait_until_told(job_id, "ready_at")

    jobs.cancel(job_id)

    assert jobs.row(job_id)["state"] == "cancelled"
    assert len(jobs.reasons(job_id)) == 4
