"""What a job leaves behind is what a call without streaming would have returned, and its cost."""

import hashlib
import json
from typing import Any

import pytest

from foreman.simulation.process import SimulationProcess
from tests.client import chat
from tests.integration.runs.ground import CHAT, Jobs
from tests.stack import wait_for
from tests.unit.core.gather.streams import call, masked

ASKED = CHAT["messages"]
PARTS = ("result", "artifacts")
REQUESTS: dict[str, dict[str, Any]] = {
    "/api/chat": CHAT,
    "/api/generate": {"model": "chain-a", "prompt": "sky"},
    "/api/embed": {"model": "chain-embed", "input": ["sky", "sea"]},
    "/v1/chat/completions": {"model": "chain-a", "messages": ASKED, "stream": True},
    "/v1/completions": {"model": "chain-a", "prompt": "sky", "max_tokens": 5},
    "/v1/responses": {"model": "chain-a", "input": "sky"},
    "/v1/messages": {"model": "chain-a", "messages": ASKED, "max_tokens": 8},
}


@pytest.mark.parametrize("endpoint", REQUESTS)
def test_the_result_is_the_body_of_the_call_without_streaming(
    jobs: Jobs, ollama: SimulationProcess, endpoint: str
) -> None:
    request = REQUESTS[endpoint]
    job_id = jobs.submit(request, endpoint)

    row = jobs.wait(job_id)

    expected = call(ollama.url, endpoint, json.dumps({**request, "stream": False}).encode())
    (result,) = jobs.artifacts(job_id).values()
    body = bytes(result["body"])
    assert (row["state"], row["status"], row["error_code"]) == ("succeeded", 200, None)
    assert masked(body) == masked(expected.body)
    assert result["content_type"] == expected.content_type
    assert (result["name"], result["fence"]) == ("response.json", row["fence"])
    assert row["response_bytes"] == result["size_bytes"] == len(body)
    assert result["sha256"] == hashlib.sha256(body).hexdigest()
    assert row["prompt_tokens"] > 0
    has_words = endpoint != "/api/embed"
    assert bool(row["output_tokens"]) is has_words


def test_the_row_says_what_the_job_cost(jobs: Jobs) -> None:
    job_id = jobs.submit()

    row = jobs.wait(job_id)

    body = json.loads(jobs.result(job_id))
    assert row["prompt_tokens"] == body["prompt_eval_count"]
    assert row["output_tokens"] == body["eval_count"]
    assert row["eval_s"] == pytest.approx(body["eval_duration"] / 1e9)
    assert row["load_s"] == pytest.approx(body["load_duration"] / 1e9)
    assert row["prompt_eval_s"] == pytest.approx(body["prompt_eval_duration"] / 1e9)


@pytest.mark.parametrize("streams", [True, False])
def test_a_synchronous_job_says_what_it_cost_too(jobs: Jobs, streams: bool) -> None:
    answer = jobs.stack.post("/api/chat", chat(stream=streams))

    row = jobs.wait(answer.headers["X-Foreman-Job-Id"])
    assert row["output_tokens"] == answer.lines[-1]["eval_count"]
    assert row["prompt_tokens"] == answer.lines[-1]["prompt_eval_count"]
    assert row["eval_s"] > 0
    assert jobs.artifacts(str(row["id"])) == {}


def test_the_chunks_and_their_times_are_kept_when_that_was_asked_for(jobs: Jobs) -> None:
    job_id = jobs.submit(columns="keeps_stream = true")

    jobs.wait(job_id)

    stream = jobs.artifacts(job_id)["stream.ndjson"]
    chunks = [json.loads(line) for line in bytes(stream["body"]).splitlines()]
    lines = [json.loads(line) for line in "".join(each["data"] for each in chunks).splitlines()]
    told = json.loads(jobs.result(job_id))["message"]["content"]
    assert stream["content_type"] == "application/x-ndjson"
    assert "".join(line["message"]["content"] for line in lines) == told
    assert lines[-1]["done"] is True
    times = [each["t"] for each in chunks]
    assert times == sorted(times)
    assert 0 < times[0] < times[-1] < 10


def test_the_tokens_so_far_are_seen_while_the_job_works(
    jobs: Jobs, ollama: SimulationProcess
) -> None:
    ollama.fault("stall_in_stream", path="/api/chat", after_tokens=7, times=1)
    job_id = jobs.submit()

    wait_for(lambda: jobs.row(job_id)["output_tokens"] == 7)

    row = jobs.row(job_id)
    assert (row["state"], row["phase"]) == ("working", "generating")
    ollama.end_faults()
    assert jobs.wait(job_id)["output_tokens"] == 42


def test_an_answer_that_is_too_large_to_be_kept_fails_for_good(jobs: Jobs) -> None:
    texts = ["sky"] * 400  # of 128 numbers each

    job_id = jobs.submit({"model": "chain-embed", "input": texts}, "/api/embed")

    row = jobs.wait(job_id)
    assert (row["state"], row["error_code"], row["attempt"]) == ("failed", "answer_too_large", 1)
    assert row["error_is_permanent"] is True
    assert str(256 * 1024) in row["error_message"]
    assert jobs.artifacts(job_id) == {}


def test_a_caller_that_posts_a_job_gets_its_result_and_its_cost(jobs: Jobs) -> None:
    ask = {"endpoint": "/api/chat", "request": CHAT, "artifacts": ["stream"]}
    accepted = json.loads(jobs.stack.post("/jobs", ask).body)
    jobs.wait(accepted["id"])

    job, result, manifest = (
        json.loads(jobs.stack.get(path).body)
        for path in (f"/jobs/{accepted['id']}", *(accepted["urls"][n] for n in PARTS))
    )

    assert (job["state"], job["target_status"], job["error"]) == ("succeeded", 200, None)
    assert job["usage"]["output_tokens"] == result["eval_count"] == 42
    assert {each["name"] for each in manifest["data"]} == {"response.json", "stream.ndjson"}
