"""`/jobs`: accept, list, show, follow, cancel, retry."""

import json
import math
import re
from uuid import UUID

from flask import Response

from foreman.api import client, cursor
from foreman.api.job_body import read_job
from foreman.api.objects import (
    EventPage,
    JobObject,
    JobPage,
    Shown,
    accepted_object,
    event_object,
    job_object,
    job_url,
)
from foreman.api.origin import current_origin
from foreman.api.payloads import (
    WAIT_LIMIT_S,
    EventsQuery,
    JobHeaders,
    JobRequest,
    ListQuery,
    RetryHeaders,
    SubmitHeaders,
    Webhook,
)
from foreman.api.reading import read_headers, read_labels, read_query
from foreman.core import headers as header_rules
from foreman.core.origin import Origin
from foreman.core.queues import canonical_name
from foreman.core.states import END_STATES
from foreman.ids import parse_id
from foreman.refusals import JobUnknown
from foreman.runtime import WebRuntime
from foreman.services import again, history
from foreman.services.accept import Ask, New, Replayed, accept
from foreman.services.cancel import cancel_asked
from foreman.services.estimate import estimate
from foreman.services.watch import Condition, Watcher, has_ended
from foreman.store.job_rows import Filters, JobRow, Scalar

_WAIT = re.compile(r"(?:^|[,;])\s*wait\s*=\s*\"?(\d{1,6})\"?\s*(?=$|[,;])", re.IGNORECASE)


class Jobs:
    """The handlers of the routes below /jobs that are about one job or a page of them."""

    def __init__(self, runtime: WebRuntime) -> None:
        self._runtime = runtime
        self._watcher = Watcher(runtime)

    def submit_job(self) -> Response:
        headers = read_headers(SubmitHeaders)
        outcome = self._accepted(headers)
        job = history.row_of(outcome) if isinstance(outcome, New) else self._find(outcome.job_id)
        wait_s = _wanted_wait_s(headers.prefer)
        if wait_s is not None and job.state not in END_STATES:
            self._wait(job.id, has_ended, wait_s)
            job = self._find(job.id)
        has_waited = wait_s is not None and job.state in END_STATES
        shown = accepted_object(job, outcome.webhook_secret)
        response = _job_response(job, shown, 200 if has_waited else 202)
        if isinstance(outcome, Replayed):
            response.headers["Idempotent-Replayed"] = "true"
        if wait_s is not None:
            response.headers["Preference-Applied"] = f"wait={wait_s}"
        return response

    def _accepted(self, headers: SubmitHeaders) -> New | Replayed:
        """What has become of the job in the body, which nobody holds after this."""
        # In a list, which gives it up: the request takes its place in memory.
        held = [client.read_body(self._runtime.settings.max_body_bytes)]
        asked, request = read_job(self._runtime.turns, held)
        origin = current_origin(self._runtime.settings)
        outcome = accept(self._runtime, ask_of(asked, request, headers, origin, headers.key))
        client.release_body()
        return outcome

    def list_jobs(self) -> Response:
        query = read_query(ListQuery)
        filters = Filters(
            state=query.state,
            source=query.source,
            model=query.model and (canonical_name(query.model) or query.model),
            client=query.client,
            created_after=query.created_after,
            created_before=query.created_before,
            labels={name: _meanings(text) for name, text in read_labels().items()},
        )
        before = None if query.after is None else cursor.read(query.after)
        rows, has_more = history.page(self._runtime, filters, before=before, limit=query.limit)
        last = cursor.write(rows[-1].created_at, rows[-1].id) if has_more else None
        return shown_response(
            JobPage(data=[job_object(row) for row in rows], has_more=has_more, next=last)
        )

    def show_job(self, job_id: str) -> Response:
        job = self._find(known_id(job_id))
        return shown_response(job_object(job, estimate(self._runtime, job)))

    def list_events(self, job_id: str) -> Response:
        query = read_query(EventsQuery)
        job = self._find(known_id(job_id))
        if query.wait and job.seq <= query.after_seq and job.state not in END_STATES:
            self._wait(job.id, lambda standing: standing.seq > query.after_seq, query.wait)
        events, ended = history.events(self._runtime, job, after_seq=query.after_seq)
        last_seq = events[-1].seq if events else query.after_seq
        shown = [event_object(event) for event in events]
        return shown_response(EventPage(data=shown, last_seq=last_seq, has_ended=ended))

    def cancel_job(self, job_id: str) -> Response:
        wanted = known_id(job_id)
        cancel_asked(self._runtime.database, wanted, self._runtime.publisher.cancel)
        return shown_response(job_object(self._find(wanted)), 202)

    def retry_job(self, job_id: str) -> Response:
        retried = again.retry(self._runtime, known_id(job_id), read_headers(RetryHeaders).key)
        response = _job_response(retried.job, job_object(retried.job), 202)
        if retried.is_replayed:
            response.headers["Idempotent-Replayed"] = "true"
        return response

    def _find(self, job_id: UUID) -> JobRow:
        return history.find(self._runtime, job_id)

    def _wait(self, job_id: UUID, is_met: Condition, limit_s: float) -> None:
        """Until the job has moved as far as that, the time is up or the client has left."""
        waiter = self._watcher.open(job_id, is_met)
        departure = client.Departure(waiter.wake)
        try:
            waiter.wait(limit_s)
        finally:
            departure.close()
            self._watcher.close(waiter)


def ask_of(
    asked: JobRequest, request: bytes, headers: JobHeaders, origin: Origin, key: str | None
) -> Ask:
    """What the service is asked for."""
    return Ask(
        endpoint=asked.endpoint.value,
        request=request,
        job_class=asked.priority,
        ttl_s=asked.ttl_seconds,
        deadline_s=asked.deadline_seconds,
        labels=asked.metadata,
        max_attempts=asked.max_attempts,
        keeps_stream="stream" in asked.artifacts,
        origin=origin,
        target=headers.target,
        webhook_url=asked.webhook.url if asked.webhook else None,
        webhook_events=_events(asked.webhook),
        webhook_secret=asked.webhook.secret if asked.webhook else None,
        key=key,
    )


def _events(webhook: Webhook | None) -> tuple[str, ...] | None:
    return tuple(webhook.events) if webhook and webhook.events is not None else None


def known_id(text: str) -> UUID:
    """The id in a path; what is none is the id of no job."""
    job_id = parse_id(text)
    if job_id is None:
        raise JobUnknown(f"there is no job {text[:100]}")
    return job_id


def shown_response(shown: Shown, status: int = 200) -> Response:
    """An object as JSON."""
    return Response(shown.model_dump_json(), status, content_type="application/json")


def _job_response(job: JobRow, shown: JobObject, status: int) -> Response:
    response = shown_response(shown, status)
    response.headers["Location"] = job_url(job.id)
    response.headers[header_rules.JOB_ID] = str(job.id)
    return response


def _wanted_wait_s(prefer: str | None) -> int | None:
    """The seconds of `Prefer: wait=N`, or as many as are given; what it says else is ignored."""
    wanted = _WAIT.search(prefer or "")
    return min(int(wanted[1]), WAIT_LIMIT_S) if wanted else None


def _meanings(text: str) -> list[Scalar]:
    """A label's value as it was written, and the plain JSON value that it may be meant as."""
    try:
        meant = json.loads(text, parse_constant=str)
    except (ValueError, RecursionError):
        return [text]
    if isinstance(meant, float) and not math.isfinite(meant):  # 1e999: no JSON has it
        return [text]
    return [text, meant] if isinstance(meant, int | float | bool | None) else [text]
