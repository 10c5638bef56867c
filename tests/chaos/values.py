"""What the oracle judges by: what clients saw, what was accepted, what rows and logs say.

All times are seconds of `time.time()`: processes, targets and PostgreSQL share one machine's clock.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Ending(StrEnum):
    """How an exchange ended on the wire."""

    WHOLE = "whole"  # as HTTP promised
    CUT = "cut"  # the connection broke before that
    NO_ANSWER = "no answer"  # it broke, or was refused, before the head
    LEFT = "left"  # this client left on purpose
    HUNG = "hung"  # not over within the client's limit


class Kind(StrEnum):
    """What a client asked for."""

    CHAT = "chat"  # /api/chat, streamed as NDJSON
    SSE = "sse"  # /v1/chat/completions, streamed as server-sent events
    EMBED = "embed"  # /api/embed
    JOB = "job"  # POST /jobs
    BATCH = "batch"  # POST /jobs/batch


@dataclass(kw_only=True)
class Record:
    """One request as its client saw it."""

    kind: Kind
    web: str
    expected: str
    started: float
    ended: float = 0.0
    ending: Ending = Ending.NO_ANSWER
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)  # names in lower case
    body: bytes = b""
    is_odd: bool = False  # a client that misbehaves on purpose: only its row and bytes are judged

    @property
    def job_id(self) -> str | None:
        return self.headers.get("x-foreman-job-id")


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """A job that was answered with 202: what it must become."""

    job_id: str
    key: str
    expected: str
    secret: str
    receiver: str  # name; "" for none
    at: float


@dataclass(frozen=True, kw_only=True)
class Delivered:
    """One request that reached a receiver."""

    receiver: str
    headers: Mapping[str, str]
    body: bytes
    at: float


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What one web process said of itself; status 0: no answer within the limit."""

    web: str
    at: float
    status: int
    says: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Times:
    """The phases of a row; `recovered` None: it never did."""

    began: float
    injected: float
    healed: float
    recovered: float | None
    ended: float  # of the load
    lease_s: float
    usual_s: float = 0.0  # what a recovery takes when nothing is broken: how busy the machine is


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Everything that is known of one row."""

    times: Times
    records: Sequence[Record] = ()
    accepted: Sequence[Accepted] = ()
    rows: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # by job id
    events: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    results: Mapping[str, bytes] = field(default_factory=dict)  # of the newest fence, by job id
    generations: Sequence[Mapping[str, Any]] = ()  # of all targets
    delivered: Sequence[Delivered] = ()
    samples: Sequence[Sample] = ()
    gone: Sequence[str] = ()  # processes that do not run any more and should
    left: Mapping[str, int] = field(default_factory=dict)  # messages, by model queue


@dataclass(frozen=True)
class Violation:
    """A promise that was not kept, and the first case of it."""

    rule: str
    detail: str
