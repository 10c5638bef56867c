"""The relay removes what is older than the settings say, and says how much."""

from tests.client import chat
from tests.integration.runs.ground import Jobs
from tests.stack import wait_for


def make_old(jobs: Jobs, job_id: str, days: int) -> None:
    age = f"now() - interval '{days} days'"
    jobs.stack.rows(
        f"UPDATE jobs SET created_at = {age}, ended_at = {age} WHERE id = %s RETURNING id", job_id
    )


def parts(jobs: Jobs, job_id: str) -> dict[str, int]:
    return {
        table: len(jobs.stack.rows(f"SELECT 1 FROM {table} WHERE {key} = %s", job_id))
        for table, key in (("jobs", "id"), ("payloads", "job_id"), ("artifacts", "job_id"))
    }


def test_a_job_that_ended_a_month_ago_is_removed_whole(jobs: Jobs) -> None:
    old, young = jobs.submit(), jobs.submit()
    for job_id, days in ((old, 31), (young, 29)):
        jobs.wait(job_id)
        make_old(jobs, job_id, days)

    wait_for(lambda: parts(jobs, old) == {"jobs": 0, "payloads": 0, "artifacts": 0})

    assert parts(jobs, young) == {"jobs": 1, "payloads": 1, "artifacts": 1}
    log = jobs.stack.processes["relay"].log_text
    wait_for(lambda: '"message": "old rows removed", "jobs": 1' in log())


def test_the_request_of_a_synchronous_job_is_removed_after_a_day(jobs: Jobs) -> None:
    answer = jobs.stack.post("/api/chat", chat(stream=False))
    job_id = answer.headers["X-Foreman-Job-Id"]
    jobs.wait(job_id)
    assert parts(jobs, job_id)["payloads"] == 1

    make_old(jobs, job_id, 2)

    wait_for(lambda: parts(jobs, job_id) == {"jobs": 1, "payloads": 0, "artifacts": 0})
