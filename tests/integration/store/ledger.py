"""What the tests of webhooks stand on: jobs with hooks, their deliveries, time that passes."""

import json
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from foreman.config import Settings, from_env
from foreman.core.states import JobState
from foreman.store import hooks, jobs, runs
from foreman.store.hooks import NewHook
from foreman.store.jobs import NewJob
from tests.factories import environ, new_job
from tests.integration.store.ground import Store

URL = "https://receiver.test/hooks"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def settings(**changes: str) -> Settings:
    return from_env(environ(**changes))


def new_hook(job_id: UUID, **changes: Any) -> NewHook:
    return replace(NewHook(job_id=job_id, url=URL, secrets=(SECRET,)), **changes)


@dataclass(frozen=True)
class Owed:
    """A delivery's row, its body read."""

    row: dict[str, Any]
    body: dict[str, Any]

    @property
    def id(self) -> UUID:
        return UUID(str(self.row["id"]))

    @property
    def data(self) -> dict[str, Any]:
        data: dict[str, Any] = self.body["data"]
        return data


class Ledger:
    """Jobs with hooks in a store, and what is owed for them."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def accept(self, *, url: str = URL, **changes: Any) -> NewJob:
        """Accept a job as the API does: job, first event and hook in one transaction."""
        job = new_job()
        self.accept_all([job], url=url, **changes)
        return job

    def ended(self, *, url: str = URL, **changes: Any) -> UUID:
        """A job that was accepted, worked on and succeeded: three events."""
        job = self.accept(url=url, **changes)
        claim = self.store.claim(job.id)
        assert claim
        self.store.do(runs.finish_run, job.id, claim.fence, JobState.SUCCEEDED, status=200)
        return job.id

    def accept_all(self, accepted: list[NewJob], *, url: str = URL, **changes: Any) -> None:
        with self.store.database.transaction() as connection:
            for job in accepted:
                jobs.insert_job(connection, job)
            hooks.add_hooks(connection, [new_hook(job.id, url=url, **changes) for job in accepted])

    def owed(self, job_id: UUID) -> list[Owed]:
        rows = self.store.sql("SELECT * FROM deliveries WHERE job_id = :id ORDER BY seq", id=job_id)
        return [Owed(row, json.loads(bytes(row["body"]))) for row in rows]

    def pass_time(self) -> None:
        """Make every pending delivery due, and every lease run out."""
        self.store.sql(
            "UPDATE deliveries SET next_at = least(next_at, now()),"
            " lease_until = lease_until - interval '1 h' WHERE state = 'pending'"
        )

    def waits_s(self, job_id: UUID) -> list[float]:
        """Of each delivery, in how many seconds it is due."""
        rows = self.store.sql(
            "SELECT extract(epoch FROM next_at - now())::float8 AS wait_s FROM deliveries"
            " WHERE job_id = :id ORDER BY seq",
            id=job_id,
        )
        return [row["wait_s"] for row in rows]

    def states(self, job_id: UUID) -> list[str]:
        return [each.row["state"] for each in self.owed(job_id)]

    def attempts(self, delivery_id: UUID) -> list[dict[str, Any]]:
        return self.store.sql(
            "SELECT * FROM attempts WHERE delivery_id = :id ORDER BY number", id=delivery_id
        )

    def types(self, job_id: UUID) -> list[tuple[int, str]]:
        return [(each.row["seq"], each.row["type"]) for each in self.owed(job_id)]

    def keep_artifact(
        self,
        job_id: UUID,
        body: bytes,
        *,
        fence: int = 1,
        name: str = "response.json",
        content_type: str = "application/json",
    ) -> None:
        self.store.sql(
            "INSERT INTO artifacts (job_id, fence, name, content_type, size_bytes, sha256, body)"
            " VALUES (:id, :fence, :name, :type, :size, 'abc', :body)",
            id=job_id,
            fence=fence,
            name=name,
            type=content_type,
            size=len(body),
            body=body,
        )
