"""A small client of foreman's `/jobs`, for other programs: it imports nothing else of foreman.

    client = Client("http://127.0.0.1:11435")
    job = client.submit("/api/chat", {"model": "gemma3:270m", "messages": [...]})
    print(client.result(client.wait(job.id).id))

Every error is a `ClientError`: see `foreman.client.refusals`. A receiver of webhooks calls
`verify(body, headers, secret)`.

A call that changes nothing, or that has a key, is sent again when nothing came back.
"""

from foreman.client.calls import Client
from foreman.client.objects import Event, Job, Line, StillRunning, Unsuccessful
from foreman.client.refusals import (
    BadSignature,
    ClientError,
    Conflict,
    Invalid,
    NotFound,
    Refused,
    Unavailable,
    Unreachable,
)
from foreman.client.webhooks import verify

__all__ = [
    "BadSignature",
    "Client",
    "ClientError",
    "Conflict",
    "Event",
    "Invalid",
    "Job",
    "Line",
    "NotFound",
    "Refused",
    "StillRunning",
    "Unavailable",
    "Unreachable",
    "Unsuccessful",
    "verify",
]
