"""Read the body of a job: its own fields by their model, its request as the bytes that it is."""

from foreman.api.payloads import JobRequest
from foreman.api.reading import parse
from foreman.core.job_body import split_job
from foreman.core.reading.scan import NotJson
from foreman.errors import RequestRefused
from foreman.refusals import Unprocessable
from foreman.turns import Turns


def read_job(turns: Turns, body: bytes) -> tuple[JobRequest, bytes]:
    """The job and its request; RequestRefused when it is no JSON, else Unprocessable."""
    try:
        parts = turns.run(split_job(body), len(body))
    except NotJson as exc:
        if exc.field:
            raise Unprocessable(f"{exc.field}: {exc}", field=exc.field) from exc
        raise RequestRefused(f"the body is not JSON: {exc}") from exc
    return parse(JobRequest, parts.rest), parts.request
