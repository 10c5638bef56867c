"""What a run sends to its target: the stored request, as the run's sink wants it.

A large body is held once, and no longer than until it is out.
"""

from dataclasses import dataclass, replace

from foreman.adapters.target import TargetRequest, pieces_of
from foreman.core import headers as header_rules
from foreman.core.reshape import Reshaped
from foreman.core.splice import Spliced
from foreman.errors import RequestRefused
from foreman.services.sink import Sink
from foreman.store.db import Database
from foreman.store.payloads import read_body
from foreman.store.runs import Claim


@dataclass(frozen=True, slots=True)
class Asked:
    """A request to a target."""

    request: TargetRequest
    streams: bool
    change: str  # of the body, see `core.reshape`


def with_body(database: Database, claim: Claim) -> Claim:
    """The claim with its body, which is read here if it is large."""
    if not claim.unread_bytes:
        return claim
    with database.statement() as connection:
        body = read_body(connection, claim.job_id, claim.unread_bytes)
    if body is None:
        raise RequestRefused("the request of the job was removed")
    return replace(claim, body=body, unread_bytes=0)


def ask(claim: Claim, wanted: Reshaped, sink: Sink) -> Asked:
    """The request that `sink` wants to be sent for a claimed job."""
    sent = sink.ask(wanted.body.stored)
    # The sink changes other members than `keep_alive`: the changes do not touch each other.
    body = Spliced(sent.body.stored, sent.body.splices + wanted.body.splices)
    headers = [*claim.headers, (header_rules.JOB_ID, str(claim.job_id))]
    pieces = pieces_of(body.parts())
    request = TargetRequest("POST", claim.endpoint, claim.query, headers, pieces, len(body))
    return Asked(request, sent.streams, wanted.change)
