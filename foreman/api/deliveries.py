"""`/deliveries`: what was owed to receivers, what was tried, and sending it once more."""

from datetime import UTC, datetime

from flask import Response

from foreman.api import client, cursor
from foreman.api.delivery_objects import (
    Deliveries,
    DeliveryObject,
    DeliveryPage,
    ReplayCount,
    Replayed,
    RotatedSecret,
    delivery_object,
)
from foreman.api.jobs import known_id, shown_response
from foreman.api.payloads import DeliveriesQuery, ReplayRequest, RotateRequest
from foreman.api.reading import parse, read_query
from foreman.ids import parse_id
from foreman.refusals import DeliveryUnknown, WebhookRefused, WebhookUnknown
from foreman.runtime import WebRuntime
from foreman.services.history import find
from foreman.store import deliveries, hooks
from foreman.store.deliveries import DeliveryRow

# A few short fields. A body is built as a whole before its fields are checked: 31 MiB of `[],[],…`
# would take 6 s of the event loop and 1.7 GB.
BODY_LIMIT_BYTES = 64 * 1024


class Ledger:
    """The handlers of the routes about deliveries."""

    def __init__(self, runtime: WebRuntime) -> None:
        self._runtime = runtime

    def list_job_deliveries(self, job_id: str) -> Response:
        job = find(self._runtime, known_id(job_id))
        with self._runtime.database.statement() as connection:
            rows = deliveries.list_deliveries(connection, job.id)
        return shown_response(Deliveries(data=[self._shown(row) for row in rows]))

    def list_deliveries(self) -> Response:
        query = read_query(DeliveriesQuery)
        with self._runtime.database.statement() as connection:
            rows = deliveries.list_all(
                connection, state=query.state, limit=query.limit + 1, after=query.after
            )
        page, has_more = rows[: query.limit], len(rows) > query.limit
        return shown_response(
            DeliveryPage(
                data=[self._shown(row) for row in page],
                has_more=has_more,
                next=str(page[-1].id) if has_more else None,
            )
        )

    def redeliver(self, delivery_id: str) -> Response:
        wanted = parse_id(delivery_id)
        row = None
        if wanted is not None:
            with self._runtime.database.statement() as connection:
                row = deliveries.redeliver(connection, wanted)
        if row is None:
            raise DeliveryUnknown(f"there is no delivery {delivery_id[:100]}")
        return shown_response(self._shown(row), 202)

    def replay_deliveries(self) -> Response:
        asked = parse(ReplayRequest, self._read_body())
        until = asked.until or datetime.now(UTC)
        after = None if asked.after is None else cursor.read(asked.after)
        chosen = deliveries.Chosen(since=asked.since, until=until, state=asked.state, after=after)
        with self._runtime.database.statement() as connection:
            if asked.dry_run:
                count = deliveries.count_replay(connection, chosen)
                return shown_response(ReplayCount(count=count))
            done = deliveries.replay(connection, chosen)
        rest = cursor.write(*done.last) if done.last else None
        return shown_response(Replayed(count=done.count, has_more=rest is not None, next=rest), 202)

    def _read_body(self) -> bytes:
        return client.read_body(min(BODY_LIMIT_BYTES, self._runtime.settings.max_body_bytes))

    def _shown(self, row: DeliveryRow) -> DeliveryObject:
        return delivery_object(row, is_admin=self._runtime.settings.allow_admin)

    def rotate_secret(self, job_id: str) -> Response:
        asked = parse(RotateRequest, self._read_body() or b"{}")
        job = find(self._runtime, known_id(job_id))
        try:
            with self._runtime.database.statement() as connection:
                secret = hooks.rotate_secret(
                    connection,
                    self._runtime.settings,
                    job.id,
                    secret=asked.secret,
                    overlap_s=asked.overlap_seconds,
                )
        except ValueError as exc:
            raise WebhookRefused(str(exc), field="secret") from exc
        if secret is None:
            raise WebhookUnknown(f"job {job.id} has no webhook with a secret of its own")
        return shown_response(
            RotatedSecret(webhook_secret=secret, overlap_seconds=asked.overlap_seconds)
        )
