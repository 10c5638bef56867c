"""Webhooks by Standard Webhooks 1.0.0: secrets, signatures, the next attempt, what an answer means.

What a body says stands where it is frozen: the function `webhook_body` of the database.
"""

import base64
import binascii
import hashlib
import hmac
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum

from foreman.core.display import printable
from foreman.core.states import DeliveryState, JobState

SECRET_PREFIX = "whsec_"
SECRET_MIN_BYTES, SECRET_MAX_BYTES = 24, 64

# Of a body, and of a result in it; the function `webhook_body` of the database keeps them.
BODY_LIMIT_BYTES = 20_000
RESULT_LIMIT_BYTES = 16_000

# Seconds from one attempt to the next; with the first, at once, they are 11 in about 76 hours.
RETRY_STEPS_S = (5, 30, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
JITTER = 0.2
RETRY_AFTER_LIMIT_S = 3600.0
RETRY_AFTER_STATUSES = frozenset({429, 503})
GONE = 410

# An event waits for an earlier one of its job that has had fewer attempts and is due this soon.
FRESH_ATTEMPTS = 3
FRESH_S = 60

EXCERPT_BYTES = 8 * 1024


class AttemptError(StrEnum):
    """What went wrong with one attempt."""

    DNS = "dns"  # the name has no address
    REFUSED = "refused"  # nobody listens there, or there is no way to it
    RESET = "reset"  # the connection ended before an answer came
    TIMEOUT = "timeout"
    TLS = "tls"
    BLOCKED = "blocked"  # the address is not one that foreman may call
    HTTP = "http"  # an answer that is not 2xx, or no HTTP at all


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one attempt came to; no `error` means that the receiver answered 2xx."""

    ms: int
    status: int | None = None
    error: AttemptError | None = None
    excerpt: bytes = b""  # the beginning of the answer's body
    retry_after: str | None = None  # the header as it came


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a delivery after an attempt."""

    state: DeliveryState
    wait_s: float = 0.0  # until the next attempt, of a pending one
    is_gone: bool = False  # nothing more goes to this job's receiver


def event_type(state: JobState) -> str:
    """The name of the event that a job has come into `state`."""
    return f"job.{state.value}"


EVENT_TYPES = tuple(event_type(state) for state in JobState)


def make_secret(random: bytes) -> str:
    """A secret as it is shown, from 24 to 64 random bytes."""
    if not SECRET_MIN_BYTES <= len(random) <= SECRET_MAX_BYTES:
        raise ValueError(f"must be {SECRET_MIN_BYTES} to {SECRET_MAX_BYTES} bytes")
    return SECRET_PREFIX + base64.b64encode(random).decode()


def secret_key(secret: str) -> bytes:
    """The key of a secret; ValueError unless it is `whsec_` and base64 of 24 to 64 bytes."""
    prefix, _, encoded = secret.partition("_")
    try:
        key = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if prefix + "_" != SECRET_PREFIX or not SECRET_MIN_BYTES <= len(key) <= SECRET_MAX_BYTES:
        raise ValueError(
            f"must be {SECRET_PREFIX} and base64 of {SECRET_MIN_BYTES} to {SECRET_MAX_BYTES} bytes"
        )
    return key


def signature(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """The signature of one attempt: `v1,` and base64 of an HMAC-SHA256."""
    content = b"%s.%d.%s" % (message_id.encode(), timestamp, body)
    digest = hmac.digest(secret_key(secret), content, hashlib.sha256)
    return "v1," + base64.b64encode(digest).decode()


def signed_headers(
    secrets: Sequence[str], message_id: str, timestamp: int, body: bytes
) -> dict[str, str]:
    """The headers of one attempt at `timestamp` (Unix seconds); every live secret signs."""
    headers = {"webhook-id": message_id, "webhook-timestamp": str(timestamp)}
    if secrets:
        signatures = (signature(secret, message_id, timestamp, body) for secret in secrets)
        headers["webhook-signature"] = " ".join(signatures)
    return headers


def judge(outcome: Outcome, *, attempts: int, random: float, at: datetime) -> Verdict:
    """What follows from the `attempts`-th attempt, which ended at `at`; `random` is in [0, 1)."""
    if outcome.error is None:
        return Verdict(DeliveryState.SUCCEEDED)
    if outcome.status == GONE:
        return Verdict(DeliveryState.FAILED, is_gone=True)
    if attempts > len(RETRY_STEPS_S):
        return Verdict(DeliveryState.FAILED)
    step_s = RETRY_STEPS_S[attempts - 1]
    wait_s = step_s * (1 - JITTER + 2 * JITTER * random)
    if outcome.status in RETRY_AFTER_STATUSES and outcome.retry_after is not None:
        asked_s = retry_after_s(outcome.retry_after, at)
        if asked_s is not None:
            wait_s = min(max(asked_s, step_s), max(2 * step_s, RETRY_AFTER_LIMIT_S))
    return Verdict(DeliveryState.PENDING, wait_s)


def retry_after_s(value: str, at: datetime) -> float | None:
    """The seconds that a Retry-After asks for, as a number or a date; None when it says neither."""
    try:
        asked_s = float(value)
    except ValueError:
        try:
            asked_s = (parsedate_to_datetime(value) - at).total_seconds()
        except (ValueError, TypeError, OverflowError):  # TypeError: a date without a zone
            return None
    return max(asked_s, 0.0) if math.isfinite(asked_s) else None


def excerpt_text(excerpt: bytes) -> str:
    """The beginning of an answer as text that can be kept and shown: at most 8 KiB."""
    return printable(excerpt[:EXCERPT_BYTES].decode(errors="replace"))
