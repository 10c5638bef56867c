"""Foreman's own routes as a table: what each takes, every status and body that it may answer with.

The application is installed from it and /openapi.json is written from it, so neither can have a
route that the other lacks.
"""

from foreman.api import delivery_objects, objects, payloads, queue_objects
from foreman.api.contract_parts import ANY, JSON, NDJSON, Answer, Operation, problem

_JOB = objects.JobObject
_ACCEPTED = objects.AcceptedObject
_UNKNOWN = problem(404, "job_unknown: there is no job with this id")
_BAD_QUERY = problem(422, "invalid: a parameter is unknown or wrong")

# What any of them may answer besides.
ALWAYS = (
    problem(400, "bad_request: the request is not valid HTTP"),
    problem(
        403, "origin_refused, host_refused: a page of this Origin, or this Host, is not allowed"
    ),
    problem(405, "http_error: the path has no such method"),
    problem(408, "head_too_slow: the head of the request did not arrive in time"),
    problem(414, "uri_too_long: the request line is too long"),
    problem(417, "expectation_failed: the header Expect may only be 100-continue"),
    problem(431, "headers_too_large: there are too many headers, or one is too long"),
    problem(500, "internal_error: a defect of foreman's"),
    problem(501, "unsupported_transfer_coding: Transfer-Encoding may only be chunked"),
    problem(505, "unsupported_version: the HTTP version is not supported"),
    problem(
        503,
        "database_unavailable, bodies_full, shutting_down: try again after `Retry-After` seconds",
    ),
)
_FULL = problem(
    503,
    "queue_full: too many jobs or residencies wait; bodies_full, server_busy, database_unavailable,"
    " shutting_down: try again after `Retry-After` seconds",
)
_RETRY_FULL = problem(
    503,
    "queue_full: too many jobs or residencies wait; server_busy, database_unavailable,"
    " shutting_down: try again after `Retry-After` seconds",
)
_WITH_BODY = (
    problem(400, "bad_request: it is not JSON, or ended early; body_too_complex: too many values"),
    problem(408, "body_too_slow: the body did not come in time"),
    problem(
        413,
        "body_too_large: it is larger than FOREMAN_MAX_BODY, or than 64 KiB without `request`",
    ),
)
_REPLAYED = ("Location", "X-Foreman-Job-Id", "Idempotent-Replayed", "Preference-Applied")
_FILE = ("ETag", "Accept-Ranges", "Content-Length")

JOBS = (
    Operation(
        name="submit_job",
        method="POST",
        path="/jobs",
        summary="Accept a job; it is on the disk when the answer comes",
        headers=payloads.SubmitHeaders,
        body=payloads.JobRequest,
        answers=(
            Answer(202, "The job was accepted, now or with the same key before", _ACCEPTED, JSON,
                   _REPLAYED),
            Answer(200, "It has ended within `Prefer: wait=N`", _ACCEPTED, JSON, _REPLAYED),
            *_WITH_BODY,
            problem(422, "invalid, invalid_model, model_not_found, remote_model,"
                    " webhook_refused, idempotency_key_reused; `field` says where"),
            _FULL,
        ),
    ),
    Operation(
        name="submit_batch",
        method="POST",
        path="/jobs/batch",
        summary="Accept many jobs: a line of NDJSON each, a line of answer each",
        headers=payloads.JobHeaders,
        body=payloads.JobRequest,
        body_type=NDJSON,
        answers=(
            Answer(200, "One line for each line, as they are accepted or refused; a line with"
                   " 503 (queue_full, bodies_full, server_busy, database_unavailable,"
                   " shutting_down) says in `retry_after_s` when to send it again",
                   objects.BatchLine, NDJSON),
            problem(422, "invalid: a header or parameter is wrong"),
        ),
    ),
    Operation(
        name="list_jobs",
        method="GET",
        path="/jobs",
        summary="Jobs, synchronous ones included, newest first",
        query=payloads.ListQuery,
        has_labels=True,
        answers=(Answer(200, "A page of them", objects.JobPage), _BAD_QUERY),
    ),
    Operation(
        name="show_job",
        method="GET",
        path="/jobs/{job_id}",
        summary="One job, whole, whatever its state",
        answers=(Answer(200, "The job", _JOB), _UNKNOWN, _BAD_QUERY),
    ),
    Operation(
        name="show_result",
        method="GET",
        path="/jobs/{job_id}/result",
        summary="The target's final body, as a call without streaming would have returned it",
        answers=(
            Answer(200, "The stored bytes, with their own content type", None, ANY, _FILE),
            Answer(206, "A part of them", None, ANY, (*_FILE, "Content-Range")),
            Answer(304, "`If-None-Match` names them", None, ANY, ("ETag",)),
            problem(404, "job_unknown, no_result: a synchronous job keeps none, or it was removed"),
            problem(409, "not_ended; not_succeeded: `detail` is the job's error"),
            problem(416, "range_refused: no byte is in this Range"),
            _BAD_QUERY,
        ),
    ),
    Operation(
        name="list_artifacts",
        method="GET",
        path="/jobs/{job_id}/artifacts",
        summary="What the job has produced; empty until it has ended",
        answers=(Answer(200, "The manifest", objects.Manifest), _UNKNOWN, _BAD_QUERY),
    ),
    Operation(
        name="show_artifact",
        method="GET",
        path="/jobs/{job_id}/artifacts/{name}",
        summary="The bytes of one artifact",
        answers=(
            Answer(200, "All of them", None, ANY, _FILE),
            Answer(206, "A part of them", None, ANY, (*_FILE, "Content-Range")),
            Answer(304, "`If-None-Match` names them", None, ANY, ("ETag",)),
            problem(404, "job_unknown, artifact_unknown"),
            problem(416, "range_refused: no byte is in this Range"),
            _BAD_QUERY,
        ),
    ),
    Operation(
        name="list_events",
        method="GET",
        path="/jobs/{job_id}/events",
        summary="The job's transitions; with `wait`, as soon as there is one",
        query=payloads.EventsQuery,
        answers=(
            Answer(200, "Those after `after_seq`", objects.EventPage), _UNKNOWN, _BAD_QUERY,
        ),
    ),
    Operation(
        name="cancel_job",
        method="POST",
        path="/jobs/{job_id}/cancel",
        summary="Cancel a job; may be repeated",
        answers=(
            Answer(202, "It is cancelled, or will be as soon as its worker hears of it", _JOB),
            _UNKNOWN,
            problem(409, "already_ended: it ended in another way"),
            _BAD_QUERY,
        ),
    ),
    Operation(
        name="retry_job",
        method="POST",
        path="/jobs/{job_id}/retry",
        summary="A new job with the request of an ended one",
        headers=payloads.RetryHeaders,
        answers=(
            Answer(202, "The new job, now or with the same key before; `retry_of` names the old"
                   " one", _JOB, JSON, ("Location", "X-Foreman-Job-Id", "Idempotent-Replayed")),
            _UNKNOWN,
            problem(409, "not_ended; not_retryable: it was synchronous, or its request is gone"),
            _RETRY_FULL,
            problem(422, "invalid, idempotency_key_reused; `field` says where"),
        ),
    ),
)  # fmt: skip

DELIVERIES = (
    Operation(
        name="list_job_deliveries",
        method="GET",
        path="/jobs/{job_id}/deliveries",
        summary="What its receiver was owed for this job's events, with each attempt",
        answers=(Answer(200, "In the order of its events", delivery_objects.Deliveries), _UNKNOWN,
                 _BAD_QUERY),
    ),
    Operation(
        name="list_deliveries",
        method="GET",
        path="/deliveries",
        summary="Deliveries of all jobs, newest first",
        query=payloads.DeliveriesQuery,
        answers=(Answer(200, "A page of them", delivery_objects.DeliveryPage), _BAD_QUERY),
    ),
    Operation(
        name="redeliver",
        method="POST",
        path="/deliveries/{delivery_id}/redeliver",
        summary="Send a delivery once more, whatever became of it: the same id, the same bytes",
        answers=(
            Answer(202, "It is due now", delivery_objects.DeliveryObject),
            problem(404, "delivery_unknown: there is no delivery with this id"),
            _BAD_QUERY,
        ),
    ),
    Operation(
        name="replay_deliveries",
        method="POST",
        path="/deliveries/replay",
        summary="Send many deliveries once more: those that were owed in a time",
        body=payloads.ReplayRequest,
        answers=(
            Answer(202, "They are due now", delivery_objects.Replayed),
            Answer(200, "With `dry_run`: how many would be sent", delivery_objects.ReplayCount),
            *_WITH_BODY,
            problem(422, "invalid: a field or parameter is unknown or wrong"),
        ),
    ),
    Operation(
        name="rotate_secret",
        method="POST",
        path="/jobs/{job_id}/webhook/rotate",
        summary="Give a job's webhook a new secret; for a time the old one signs beside it",
        body=payloads.RotateRequest,
        is_body_needed=False,
        answers=(
            Answer(200, "It signs every attempt from now on", delivery_objects.RotatedSecret),
            *_WITH_BODY,
            problem(404, "job_unknown; webhook_unknown: it has none with a secret of its own"),
            problem(422, "invalid, webhook_refused; `field` says where"),
        ),
    ),
)  # fmt: skip

QUEUES = (
    Operation(
        name="list_queues",
        method="GET",
        path="/queues",
        summary="What waits for each model, when it is served, and why not now; as it was some"
        " seconds ago",
        answers=(Answer(200, "The longest wait first", queue_objects.QueueList), _BAD_QUERY),
    ),
    Operation(
        name="list_swaps",
        method="GET",
        path="/swaps",
        summary="Each swap of a target, newest first, and what draining has saved",
        query=payloads.SwapsQuery,
        answers=(Answer(200, "A page of them", queue_objects.SwapPage), _BAD_QUERY),
    ),
)

DOCUMENTS = (
    Operation(
        name="openapi",
        method="GET",
        path="/openapi.json",
        summary="This document",
        answers=(Answer(200, "The document"), _BAD_QUERY),
    ),
    Operation(
        name="docs",
        method="GET",
        path="/docs",
        summary="This document for people, and every code of a problem",
        answers=(Answer(200, "A page", None, "text/html"), _BAD_QUERY),
    ),
)

OPERATIONS = (*JOBS, *DELIVERIES, *QUEUES, *DOCUMENTS)
