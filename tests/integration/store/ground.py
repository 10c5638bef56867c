"""What the store's tests stand on: its verbs, the rows themselves, time that passes, races."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Concatenate, ParamSpec, TypeVar
from uuid import UUID

from sqlalchemy import Connection, text

from foreman.core.lease import Lease
from foreman.core.states import JobState, Phase, Source
from foreman.ids import new_id
from foreman.parsing import TargetSpec
from foreman.store import jobs, runs, targets, upkeep
from foreman.store.db import Database
from foreman.store.jobs import NewJob
from foreman.store.runs import Claim
from tests.factories import new_job

P = ParamSpec("P")
R = TypeVar("R")

LEASE_S = 60.0
WEB_SILENCE_S = 30.0


class Store:
    """The store's verbs over one database, and what its rows say."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def do(
        self, verb: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Do one verb as the processes do it: a statement that is its own transaction."""
        with self.database.statement() as connection:
            return verb(connection, *args, **kwargs)

    # Jobs in a state

    def queued(self, **changes: Any) -> NewJob:
        job = new_job(**changes)
        self.do(jobs.insert_job, job)
        return job

    def claim(self, job_id: UUID, *, worker: str = "worker1") -> Claim | None:
        return self.do(
            runs.claim_job,
            job_id,
            worker=worker,
            target="gpu",
            phase=Phase.GENERATING,
            lease_s=LEASE_S,
            web_silence_s=WEB_SILENCE_S,
        )

    def working(self, **changes: Any) -> Claim:
        claim = self.claim(self.queued(**changes).id)
        assert claim
        return claim

    def ended(self, state: JobState) -> Claim:
        """A job that has come to its end; its claim is what a late worker still holds."""
        if state in (JobState.CANCELLED, JobState.EXPIRED):
            job_id = self.queued().id
            if state is JobState.CANCELLED:
                self.do(jobs.cancel_job, job_id, reason="asked")
            else:
                self.set(job_id, "expires_at = now() - interval '1 ms'")
                self.do(jobs.expire_job, job_id)
            return Claim(
                job_id=job_id, fence=0, attempt=0, max_attempts=3, endpoint="", model="",
                web_id=None, query="", headers=[], body=b"", queue="", source=Source.ASYNC,
                streams=True, waited_s=0.0,
            )  # fmt: skip
        claim = self.working()
        assert self.do(runs.finish_run, claim.job_id, claim.fence, state)
        return claim

    def stalled(self, **changes: Any) -> Claim:
        """A working job whose lease has run out."""
        claim = self.working(**changes)
        self.set(claim.job_id, "lease_until = now() - interval '1 ms'")
        return claim

    # Web processes and targets

    def web(self) -> UUID:
        """A web process that was heard of just now."""
        web_id = new_id()
        self.do(targets.register_web, web_id, host="host", pid=1)
        return web_id

    def silence(self, web_id: UUID, silent_s: float) -> None:
        """Make it long that a web process was heard of."""
        self.sql(
            "UPDATE web_processes SET seen_at = now() - :s * interval '1 s' WHERE id = :id",
            s=silent_s,
            id=web_id,
        )

    def declare(self, *names: str) -> None:
        specs = [TargetSpec(name=name, url=f"http://{name}:11434", slots=1) for name in names]
        self.do(targets.declare_targets, specs)

    def acquire(
        self, *names: str, worker: str = "worker1", lease_s: float = LEASE_S
    ) -> Lease | None:
        return self.do(targets.acquire_lease, names, worker=worker, lease_s=lease_s)

    def lease(self, name: str, *, worker: str = "worker1", lease_s: float = LEASE_S) -> Lease:
        lease = self.acquire(name, worker=worker, lease_s=lease_s)
        assert lease
        return lease

    def reap(self) -> list[upkeep.Reaped]:
        """One turn of the reaper."""
        with self.database.transaction() as connection:
            return [
                *upkeep.reap_abandoned(connection, web_silence_s=WEB_SILENCE_S),
                *upkeep.reap_expired(connection),
                *upkeep.reap_stalled(connection),
            ]

    # Rows

    def sql(self, statement: str, **values: Any) -> list[dict[str, Any]]:
        with self.database.statement() as connection:
            result = connection.execute(text(statement), values)
            return [dict(row) for row in result.mappings()] if result.returns_rows else []

    def set(self, job_id: UUID, assignment: str) -> None:
        """Make the row say something, past the store: mostly that time has passed."""
        self.sql(f"UPDATE jobs SET {assignment} WHERE id = :id", id=job_id)

    def row(self, job_id: UUID) -> dict[str, Any]:
        return self.sql("SELECT * FROM jobs WHERE id = :id", id=job_id)[0]

    def state(self, job_id: UUID) -> JobState:
        return JobState(self.row(job_id)["state"])

    def events(self, job_id: UUID) -> list[tuple[int, str, int]]:
        """Number, state and attempt of every transition, oldest first."""
        rows = self.sql("SELECT * FROM events WHERE job_id = :id ORDER BY seq", id=job_id)
        return [(row["seq"], row["state"], row["attempt"]) for row in rows]

    def reasons(self, job_id: UUID) -> list[str | None]:
        rows = self.sql("SELECT reason FROM events WHERE job_id = :id ORDER BY seq", id=job_id)
        return [row["reason"] for row in rows]


def race(*actions: Callable[[], R]) -> list[R]:
    """Do all of them at once, each in a thread of its own; their results in order."""
    start = threading.Barrier(len(actions))

    def act(action: Callable[[], R]) -> R:
        start.wait(10)
        return action()

    with ThreadPoolExecutor(len(actions)) as threads:
        return list(threads.map(act, actions))
