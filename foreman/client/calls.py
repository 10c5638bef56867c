"""The calls: each is one HTTP exchange, bounded in time, and `wait` is several."""

from __future__ import annotations  # Python 3.9

import json
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import fields
from typing import Any
from urllib.parse import quote

import requests

from foreman.client.objects import Event, Job, Line, StillRunning, Unsuccessful, read_line
from foreman.client.refusals import Conflict, Unavailable, Unreachable, refusal_of
from foreman.version import VERSION

CONNECT_LIMIT_S = 5.0
ANSWER_LIMIT_S = 30.0
# The longest that one call of `wait` is held.
POLL_LIMIT_S = 25.0
TRIES = 3
PAUSE_S = 0.5
PAUSE_LIMIT_S = 10.0


class Client:
    """One foreman; a client is used by one thread at a time."""

    def __init__(
        self, base_url: str = "http://127.0.0.1:11435", *, name: str | None = None
    ) -> None:
        """`name` is what foreman's lists call this program by."""
        self._base_url = base_url.rstrip("/")
        self._session = requests.Session()
        self._session.headers["User-Agent"] = f"foreman-client/{VERSION}"
        if name:
            self._session.headers["X-Foreman-Client"] = name

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._session.close()

    def submit(
        self,
        endpoint: str,
        request: dict[str, Any],
        *,
        key: str | None = None,
        target: str | None = None,
        **more: Any,
    ) -> Job:
        """Hand over a job; it is on foreman's disk when this returns.

        `key`: the same key with the same request is the same job; one is made when none is given,
        so that a lost answer costs nothing. `more`: priority, ttl_seconds, deadline_seconds,
        max_attempts, metadata, artifacts, webhook. A `webhook` without a `secret` is given one by
        foreman: `webhook_secret` of what this returns, and of no later answer; keep it.
        """
        headers = {"Idempotency-Key": key or str(uuid.uuid4())}
        if target:
            headers["X-Foreman-Target"] = target
        body = {"endpoint": endpoint, "request": request, **more}
        return self._job("POST", "/jobs", json=body, headers=headers)

    def submit_many(
        self, bodies: Iterable[dict[str, Any]], *, key: str | None = None
    ) -> Iterator[Line]:
        """Hand over many jobs, each as the body of `POST /jobs`; a line for each.

        With a key of your own the whole batch may be sent again, and no job is made twice.
        """
        lines = (json.dumps(body).encode() + b"\n" for body in bodies)
        headers = {"Idempotency-Key": key or str(uuid.uuid4())}
        answer = self._ask("POST", "/jobs/batch", data=lines, headers=headers, stream=True)
        with answer:
            try:
                for text in answer.iter_lines():
                    yield read_line(json.loads(text))
            except requests.RequestException as exc:
                raise Unreachable(f"the answer was cut: {exc}") from exc

    def job(self, job_id: str) -> Job:
        return self._job("GET", f"/jobs/{job_id}")

    def list(self, *, limit: int = 50, **filters: Any) -> Iterator[Job]:
        """The newest jobs, at most `limit`; filters as of `GET /jobs`, `metadata` a dictionary."""
        for name, value in filters.pop("metadata", {}).items():
            filters[f"metadata.{name}"] = value
        while limit > 0:
            page = self._json("GET", "/jobs", params={**filters, "limit": min(limit, 200)})
            yield from (Job.read(each) for each in page["data"])
            limit -= len(page["data"])
            if not page["has_more"]:
                return
            filters["after"] = page["next"]

    def events(self, job_id: str, *, after_seq: int = 0, wait_s: float = 0) -> Sequence[Event]:
        """The job's transitions; with `wait_s`, as soon as there is one, or none by then."""
        query = {"after_seq": after_seq, "wait": wait_s}
        page = self._json(
            "GET", f"/jobs/{job_id}/events", params=query, timeout_s=ANSWER_LIMIT_S + wait_s
        )
        return [
            Event(**{each.name: row[each.name] for each in fields(Event)}) for row in page["data"]
        ]

    def wait(
        self,
        job_id: str,
        *,
        limit_s: float = 3600,
        on_progress: Callable[[Job], None] | None = None,
        every_s: float = POLL_LIMIT_S,
    ) -> Job:
        """The job when it has ended; StillRunning when it has not within `limit_s`.

        `on_progress` gets the job after each of its moves, and at least every `every_s`.
        """
        give_up_at = time.monotonic() + limit_s
        while True:
            job = self.job(job_id)
            if on_progress is not None:
                on_progress(job)
            left_s = give_up_at - time.monotonic()
            if job.has_ended:
                return job
            if left_s <= 0:
                raise StillRunning(job, limit_s)
            self.events(
                job_id, after_seq=job.seq, wait_s=round(min(every_s, POLL_LIMIT_S, left_s), 3)
            )

    def result(self, job_id: str) -> Any:
        """The target's final body, parsed; Unsuccessful when the job ended without one."""
        try:
            return self._json("GET", f"/jobs/{job_id}/result")
        except Conflict as error:
            if error.code != "not_succeeded":
                raise
            raise Unsuccessful(self.job(job_id)) from error

    def artifacts(self, job_id: str) -> Sequence[dict[str, Any]]:
        """Name, size, sha256, content_type and url of each."""
        manifest: Sequence[dict[str, Any]] = self._json("GET", f"/jobs/{job_id}/artifacts")["data"]
        return manifest

    def artifact(self, job_id: str, name: str) -> bytes:
        return self._ask("GET", f"/jobs/{job_id}/artifacts/{quote(name, safe='')}").content

    def cancel(self, job_id: str) -> Job:
        return self._job("POST", f"/jobs/{job_id}/cancel", is_repeatable=True)

    def retry(self, job_id: str) -> Job:
        """A new job with the same request; it is not sent again by itself."""
        return self._job("POST", f"/jobs/{job_id}/retry")

    def deliveries(
        self, job_id: str | None = None, *, state: str | None = None, limit: int = 50
    ) -> Iterator[dict[str, Any]]:
        """What was owed to receivers, newest first, with each attempt; of one job, all of it."""
        if job_id is not None:
            page = self._json("GET", f"/jobs/{job_id}/deliveries")
            yield from (each for each in page["data"] if state in (None, each["state"]))
            return
        query = {"state": state} if state else {}
        while limit > 0:
            page = self._json("GET", "/deliveries", params={**query, "limit": min(limit, 200)})
            yield from page["data"]
            limit -= len(page["data"])
            if not page["has_more"]:
                return
            query["after"] = page["next"]

    def queues(self) -> Sequence[dict[str, Any]]:
        """Every model that has work or is loaded, the longest wait first; see /docs."""
        data: Sequence[dict[str, Any]] = self._json("GET", "/queues")["data"]
        return data

    def targets(self) -> Sequence[dict[str, Any]]:
        """Every target: what it has loaded and what it has room for; see /docs."""
        targets: Sequence[dict[str, Any]] = self._json("GET", "/queues")["targets"]
        return targets

    def redeliver(self, delivery_id: str) -> dict[str, Any]:
        """Send a delivery once more."""
        delivery: dict[str, Any] = self._json("POST", f"/deliveries/{delivery_id}/redeliver")
        return delivery

    def count_replay(self, since: str, *, until: str, state: str | None = None) -> int:
        """How many deliveries `replay` would send."""
        body = _replay_body(since, until, state) | {"dry_run": True}
        count: int = self._json("POST", "/deliveries/replay", json=body)["count"]
        return count

    def replay(self, since: str, *, until: str, state: str | None = None) -> Iterator[int]:
        """Send the deliveries of a time span again; yields how many each call has scheduled.

        Times are ISO 8601 with a zone.
        """
        body = _replay_body(since, until, state)
        while True:
            done = self._json("POST", "/deliveries/replay", json=body)
            yield done["count"]
            if not done["has_more"]:
                return
            body["after"] = done["next"]

    def rotate_secret(
        self, job_id: str, *, secret: str | None = None, overlap_s: float | None = None
    ) -> str:
        """Give a job's webhook a new secret, made there without `secret`, and return it.

        The one before signs beside it for `overlap_s`, a day by default. Not sent again by itself:
        a second rotation would end the secret before the first.
        """
        given = {"secret": secret, "overlap_seconds": overlap_s}
        body = {name: value for name, value in given.items() if value is not None}
        new: str = self._json("POST", f"/jobs/{job_id}/webhook/rotate", json=body)["webhook_secret"]
        return new

    # One call

    def _job(self, method: str, path: str, **options: Any) -> Job:
        return Job.read(self._json(method, path, **options))

    def _json(self, method: str, path: str, **options: Any) -> Any:
        answer = self._ask(method, path, **options)
        try:
            return answer.json()
        except ValueError as exc:
            raise Unavailable(answer.status_code, "not_json", "the answer is not JSON") from exc

    def _ask(
        self,
        method: str,
        path: str,
        *,
        is_repeatable: bool = False,
        timeout_s: float = ANSWER_LIMIT_S,
        **options: Any,
    ) -> requests.Response:
        has_key = "Idempotency-Key" in options.get("headers", {}) and "data" not in options
        tries = TRIES if method == "GET" or has_key or is_repeatable else 1
        for number in range(1, tries + 1):
            try:
                return self._once(method, path, timeout_s, options)
            except (Unreachable, Unavailable) as error:
                if number == tries:
                    raise
                asked_s = error.retry_after_s if isinstance(error, Unavailable) else None
                time.sleep(min(asked_s or PAUSE_S * 2 ** (number - 1), PAUSE_LIMIT_S))
        raise AssertionError("a try returns or raises")

    def _once(
        self, method: str, path: str, timeout_s: float, options: dict[str, Any]
    ) -> requests.Response:
        try:
            answer = self._session.request(
                method, self._base_url + path, timeout=(CONNECT_LIMIT_S, timeout_s), **options
            )
        except requests.RequestException as exc:
            raise Unreachable(f"{self._base_url} does not answer: {exc}") from exc
        if answer.status_code >= 400:
            raise refusal_of(answer)
        return answer


def _replay_body(since: str, until: str, state: str | None) -> dict[str, Any]:
    chosen = {"since": since, "until": until, "state": state}
    return {name: value for name, value in chosen.items() if value is not None}
