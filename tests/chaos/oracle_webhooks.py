"""The oracle's rules for webhooks: signed, whole, in order, and repeated only as they were."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from tests.chaos.row import Promise
from tests.chaos.values import Delivered, Evidence


def _signatures(evidence: Evidence, promise: Promise) -> Iterator[str]:
    """Another implementation of the standard accepts every signature with the job's secret."""
    secrets = {job.job_id: job.secret for job in evidence.accepted}
    for each in evidence.delivered:
        job_id = _event(each)["job_id"]
        if job_id not in secrets:
            continue  # its acceptance was never answered: its secret is as unknown as its id
        try:
            Webhook(secrets[job_id]).verify(each.body, dict(each.headers))
        except WebhookVerificationError as error:
            yield f"{job_id} seq {_event(each)['seq']}: {error}"


def _missing(evidence: Evidence, promise: Promise) -> Iterator[str]:
    """Every event of a job that named a receiver reached it."""
    got: dict[str, set[int]] = defaultdict(set)
    for each in evidence.delivered:
        event = _event(each)
        got[event["job_id"]].add(event["seq"])
    for job in evidence.accepted:
        if job.receiver in promise.unsent:
            continue
        owed = {each["seq"] for each in evidence.events.get(job.job_id, ())}
        if missing := owed - got[job.job_id]:
            yield f"{job.job_id} at {job.receiver}: seq {sorted(missing)} never came"
        if invented := got[job.job_id] - owed:
            yield f"{job.job_id}: seq {sorted(invented)} came and is no event"


def _duplicates(evidence: Evidence, promise: Promise) -> Iterator[str]:
    """What comes again has the same id and the same bytes."""
    first: dict[tuple[str, int], Delivered] = {}
    for each in evidence.delivered:
        event = _event(each)
        known = first.setdefault((event["job_id"], event["seq"]), each)
        if known.body != each.body or known.headers["webhook-id"] != each.headers["webhook-id"]:
            yield f"{event['job_id']} seq {event['seq']} came with another id or body"


def _order(evidence: Evidence, promise: Promise) -> Iterator[str]:
    """The events of a job come in their order to a receiver that accepts them."""
    newest: dict[str, int] = defaultdict(int)
    for each in sorted(evidence.delivered, key=lambda each: each.at):
        event = _event(each)
        if each.receiver in promise.refused:
            continue
        # One that comes a second time is a duplicate, and not out of order.
        if event["seq"] > newest[event["job_id"]] + 1:
            yield f"{event['job_id']}: seq {event['seq']} after {newest[event['job_id']]}"
        newest[event["job_id"]] = max(newest[event["job_id"]], event["seq"])


def _event(delivered: Delivered) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(delivered.body)["data"]
    return said


WEBHOOK_RULES: dict[str, Callable[[Evidence, Promise], Iterator[str]]] = {
    "webhook signature": _signatures,
    "webhook missing": _missing,
    "webhook duplicate": _duplicates,
    "webhook order": _order,
}
