"""Jobs that nobody waits for, in a running foreman: as its row is accepted with 202, and read."""

import json
from typing import Any

from sqlalchemy import text

from foreman.core.queues import canonical_name, residency_of
from foreman.ids import parse_id
from foreman.parsing import database_url as as_settings_read_it
from foreman.store import jobs, upkeep
from foreman.store.db import Database
from tests.factories import new_job
from tests.stack import Stack, wait_for

CHAT = {"model": "chain-a", "messages": [{"role": "user", "content": "why is the sky <blue>?"}]}
ENDED = ("succeeded", "failed", "cancelled", "expired")


class Jobs:
    """The jobs of one stack, by the text of their ids."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.database = Database(as_settings_read_it(stack.database_url), pool_size=2)

    def submit(
        self,
        request: dict[str, Any] = CHAT,
        endpoint: str = "/api/chat",
        *,
        columns: str = "",
        **changes: Any,
    ) -> str:
        """Accept a job and leave its message to the relay; `columns` are assignments in SQL."""
        model = canonical_name(request["model"]) or ""
        job = new_job(
            endpoint=endpoint,
            model=model,
            queue=residency_of(model, {}).queue,
            body=json.dumps(request).encode(),
            **changes,
        )
        with self.database.transaction() as connection:
            jobs.insert_job(connection, job)
            upkeep.unpublish(connection, [job.id])
            if columns:
                connection.execute(text(f"UPDATE jobs SET {columns} WHERE id = '{job.id}'"))
        return str(job.id)

    def row(self, job_id: str) -> dict[str, Any]:
        return self.stack.job(job_id)

    def wait(self, job_id: str, *states: str, limit_s: float = 15.0) -> dict[str, Any]:
        """The row once it is in one of these states, or in any end state."""
        wanted = states or ENDED
        rows = wait_for(
            lambda: [row for row in [self.row(job_id)] if row["state"] in wanted],
            limit_s,
            f"the job is {' or '.join(wanted)}",
        )
        return rows[0]

    def wait_until_told(self, job_id: str, column: str) -> dict[str, Any]:
        """The row once this column of it says something."""
        rows = wait_for(
            lambda: [row for row in [self.row(job_id)] if row[column]], what=f"{column} is told"
        )
        return rows[0]

    def cancel(self, job_id: str) -> None:
        """Ask for it in the row alone: no worker is told."""
        parsed = parse_id(job_id)
        assert parsed
        with self.database.transaction() as connection:
            jobs.cancel_job(connection, parsed, reason="asked")

    def reasons(self, job_id: str) -> list[str | None]:
        """Why the job came into each of its states, oldest first."""
        rows = self.stack.rows("SELECT reason FROM events WHERE job_id = %s ORDER BY seq", job_id)
        return [row["reason"] for row in rows]

    def artifacts(self, job_id: str) -> dict[str, dict[str, Any]]:
        """All that is stored, of any run, by name."""
        rows = self.stack.rows("SELECT * FROM artifacts WHERE job_id = %s", job_id)
        assert len({row["name"] for row in rows}) == len(rows)
        return {row["name"]: row for row in rows}

    def result(self, job_id: str) -> bytes:
        return bytes(self.artifacts(job_id)["response.json"]["body"])
