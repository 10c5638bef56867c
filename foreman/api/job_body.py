"""Read the body of a job: its own fields by their model, its request as the bytes that it is."""

from foreman.api.payloads import JobRequest
from foreman.api.reading import parse
from foreman.core.job_body import split_job
from foreman.core.reading.scan import NotJson
from foreman.core.splice import cut
from foreman.errors import RequestRefused
from foreman.refusals import Unprocessable
from foreman.turns import Turns


def read_job(turns: Turns, held: list[bytes]) -> tuple[JobRequest, bytes]:
    """The job in a list, which gives it up, and its request, in its place in memory.

    RequestRefused when it is no JSON, else Unprocessable.
    """
    try:
        parts = turns.run(split_job(held[0]), len(held[0]))
    except NotJson as exc:
        if exc.field:
            raise Unprocessable(f"{exc.field}: {exc}", field=exc.field) from exc
        raise RequestRefused(f"the body is not JSON: {exc}") from exc
    return parse(JobRequest, parts.rest), cut(held, parts.start, parts.end)
