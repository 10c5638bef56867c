"""`/queues`: what waits and when it is served. `/swaps`: the ledger."""

import time

from flask import Response

from foreman.api.jobs import shown_response
from foreman.api.payloads import NoQuery, SwapsQuery
from foreman.api.queue_objects import (
    QueueList,
    SwapPage,
    queue_object,
    swap_object,
    target_object,
    totals_of,
)
from foreman.api.reading import read_query
from foreman.errors import DatabaseUnavailable
from foreman.runtime import WebRuntime
from foreman.store import ledger

# What is shown is read every second; when it is as old as this, the database does not answer.
STALE_AFTER_S = 30.0


class Queues:
    """The handlers of the routes about queues."""

    def __init__(self, runtime: WebRuntime) -> None:
        self._runtime = runtime

    def list_queues(self) -> Response:
        read_query(NoQuery)
        if time.monotonic() - self._runtime.queues.read_at > STALE_AFTER_S:
            raise DatabaseUnavailable
        prospect = self._runtime.prospect
        return shown_response(
            QueueList(
                data=[queue_object(each) for each in prospect.queue_reports],
                targets=[target_object(each) for each in prospect.target_reports],
            )
        )

    def list_swaps(self) -> Response:
        query = read_query(SwapsQuery)
        with self._runtime.database.transaction() as connection:
            rows = ledger.list_swaps(connection, before_id=query.after, limit=query.limit + 1)
            savings = ledger.read_savings(connection)
        page, has_more = rows[: query.limit], len(rows) > query.limit
        return shown_response(
            SwapPage(
                data=[swap_object(row) for row in page],
                has_more=has_more,
                next=str(page[-1].id) if has_more else None,
                totals=totals_of(savings),
            )
        )
