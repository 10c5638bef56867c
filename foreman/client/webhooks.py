"""What a receiver of webhooks checks: who signed an event, and when (Standard Webhooks 1.0.0)."""

from __future__ import annotations  # Python 3.9

import base64
import binascii
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from typing import Any

from foreman.client.refusals import BadSignature

# How far foreman's clock may be from ours; an older message may be a copy that somebody kept.
TOLERANCE_S = 300.0
_PREFIX = "whsec_"


def verify(
    body: bytes,
    headers: Mapping[str, str],
    secret: str,
    *,
    tolerance_s: float = TOLERANCE_S,
    now_s: float | None = None,
) -> dict[str, Any]:
    """Return the event of a webhook, or raise BadSignature.

    `body` is what arrived, byte for byte. `headers` may be in any case, as any framework has them;
    of a WSGI environ, too. `secret` is `whsec_…`, or two of them with a comma while it is changed.
    `now_s` is the Unix time to compare with; the clock's when None. ValueError: no such secret.
    """
    message_id, timestamp, given = _signature_headers(headers)
    if not (timestamp.isascii() and timestamp.isdecimal()):
        raise BadSignature("the header webhook-timestamp is not a Unix time")
    if abs((time.time() if now_s is None else now_s) - int(timestamp)) > tolerance_s:
        raise BadSignature(f"the webhook was not signed within {tolerance_s:g} s of now")
    content = f"{message_id}.{timestamp}.".encode() + body
    expected = [_signature(_key(each), content) for each in secret.split(",")]
    signatures = [each.encode() for each in given.split()]
    if not any(hmac.compare_digest(a, b) for a in expected for b in signatures):
        raise BadSignature("the webhook is not signed with this secret")
    event: dict[str, Any] = json.loads(body)
    return event


def _signature_headers(headers: Mapping[str, str]) -> tuple[str, str, str]:
    """The id, the timestamp and the signatures; "" for what is missing."""
    # A WSGI environ has HTTP_WEBHOOK_ID.
    found = {
        str(name).lower().replace("_", "-").removeprefix("http-"): value
        for name, value in headers.items()
    }
    parts = ("webhook-id", "webhook-timestamp", "webhook-signature")
    message_id, timestamp, signatures = (str(found.get(name, "")) for name in parts)
    return message_id, timestamp, signatures


def _key(secret: str) -> bytes:
    secret = secret.strip()
    if not secret.startswith(_PREFIX):
        raise ValueError(f"a webhook secret begins with {_PREFIX}")
    try:
        return base64.b64decode(secret[len(_PREFIX) :], validate=True)
    except binascii.Error as exc:
        raise ValueError(f"a webhook secret is {_PREFIX} and base64") from exc


def _signature(key: bytes, content: bytes) -> bytes:
    return b"v1," + base64.b64encode(hmac.new(key, content, hashlib.sha256).digest())
