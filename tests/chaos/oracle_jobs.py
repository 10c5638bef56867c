"""The oracle's rules for jobs: rows, events, results, and what the targets did for them."""

from collections import defaultdict
from collections.abc import Callable, Iterator

from foreman.core.states import END_STATES
from foreman.errors import JobCancelled
from tests.chaos import answers
from tests.chaos.row import Promise
from tests.chaos.values import Ending, Evidence, Kind, Record

# A target may begin what was sent to it just before the job ended.
GENERATION_SLACK_S = 1.0
# What a client reads of a job that somebody else has cancelled.
CANCELLED = str(JobCancelled()).encode()


def _lost(evidence: Evidence, promise: Promise) -> Iterator[str]:
    """Every job that was answered with 202 has a row, and one key has one job."""
    by_key: dict[str, set[str]] = defaultdict(set)
    for job in evidence.accepted:
        by_key[job.key].add(job.job_id)
        if job.job_id not in evidence.rows:
            yield f"{job.job_id} was accepted and has no row"
    for key, job_ids in by_key.items():
        if len(job_ids) > 1:
            yield f"key {key} has the jobs {sorted(job_ids)}"


def _unended(evidence: Evidence, promise: Promise) -> Iterator[str]:
    """Every job ends, in time."""
    limit = evidence.times.ended + promise.ends_s(evidence.times)
    for job_id, row in evidence.rows.items():
        if row["ended_at"] is None:
            yield f"{job_id} is {row['state']} ({row['source']}, attempt {row['attempt']})"
        elif row["ended_at"] > limit:
            late_s = row["ended_at"] - evidence.times.ended
            yield f"{job_id} ended {late_s:.0f} s after the load ({row['source']})"


def _ends_once(evidence: Evidence, promise: Promise) -> Iterator[str]:
    """A job's events are numbered without gaps, and exactly its last one is an end."""
    for job_id, row in evidence.rows.items():
        events = evidence.events.get(job_id, ())
        states = [each["state"] for each in events]
        if [each["seq"] for each in events] != list(range(1, len(events) + 1)):
            yield f"{job_id} has the events {[each['seq'] for each in events]}"
        ends = sum(state in END_STATES for state in states)
        if ends > 1 or (ends == 1 and states[-1] not in END_STATES):
            yield f"{job_id} ended more than once, or went on: {states}"
        if states and states[-1] != row["state"]:
            yield f"{job_id} is {row['state']}, and its last event says {states[-1]}"


def _results(evidence: Evidence, promise: Promise) -> Iterator[str]:
    """A job that was accepted succeeds, and its result is the target's."""
    for job in evidence.accepted:
        row = evidence.rows.get(job.job_id)
        if row is None or row["ended_at"] is None:
            continue
        if row["state"] != "succeeded":
            yield f"{job.job_id} is {row['state']}: {row['error_code']} {row['error_message']}"
        elif answers.result_text(evidence.results.get(job.job_id, b"")) != job.expected:
            yield f"{job.job_id} has the result {evidence.results.get(job.job_id, b'')[:120]!r}"


def _clients_and_rows(evidence: Evidence, promise: Promise) -> Iterator[str]:
    """The row of a complete answer succeeded; no client that waits reads that it has cancelled.

    A web process that ends a stream with another error cancels its job: nobody waits for it.
    """
    for record in evidence.records:
        row = evidence.rows.get(record.job_id or "")
        if row is None or record.kind not in (Kind.CHAT, Kind.SSE):
            continue
        if _is_whole(record) and row["state"] != "succeeded":
            yield f"{record.job_id} was answered whole, and is {row['state']} {row['error_code']}"
        elif CANCELLED in record.body and record.web not in promise.cuts:
            yield f"{record.job_id} was cancelled while its client waited at {record.web}"


def _said(evidence: Evidence, promise: Promise) -> Iterator[str]:
    """What a client or a result has is what the log of a target says that it sent."""
    spoken: dict[str, set[int]] = defaultdict(set)
    for each in evidence.generations:
        if each["ended"] == "done":
            spoken[each["job_id"]].add(each["tokens"])
    for record in evidence.records:
        if record.kind not in (Kind.CHAT, Kind.SSE) or not record.job_id or not _is_whole(record):
            continue
        if len(record.expected.split()) not in spoken[record.job_id]:
            yield f"no target finished {record.job_id}, and its client has all of it"


def _generations(evidence: Evidence, promise: Promise) -> Iterator[str]:
    """No generation begins for a job that has ended, and no more of them than claims."""
    runs: dict[str, int] = defaultdict(int)
    for each in evidence.generations:
        row = evidence.rows.get(each["job_id"] or "")
        if row is None:
            continue
        runs[each["job_id"]] += 1
        if row["ended_at"] and each["arrived"] > row["ended_at"] + GENERATION_SLACK_S:
            late_s = each["arrived"] - row["ended_at"]
            yield f"{each['job_id']} was generated {late_s:.1f} s after its end ({row['state']})"
    for job_id, count in runs.items():
        row = evidence.rows[job_id]
        if count > row["fence"]:
            yield f"{job_id} was generated {count} times with {row['fence']} claims"
        if row["attempt"] > row["max_attempts"]:
            yield f"{job_id} had {row['attempt']} of {row['max_attempts']} attempts"


def _left(evidence: Evidence, promise: Promise) -> Iterator[str]:
    """When all jobs have ended no model queue has a message, whoever sent it."""
    for name, count in evidence.left.items():
        if count:
            yield f"{count} in {name}"


def _is_whole(record: Record) -> bool:
    if record.status != 200 or record.ending is not Ending.WHOLE:
        return False
    heard = answers.heard(record)
    return heard.is_whole and heard.error is None


JOB_RULES: dict[str, Callable[[Evidence, Promise], Iterator[str]]] = {
    "lost job": _lost,
    "job without an end": _unended,
    "double end": _ends_once,
    "result": _results,
    "client and row": _clients_and_rows,
    "target and client": _said,
    "generations": _generations,
    "messages left": _left,
}
