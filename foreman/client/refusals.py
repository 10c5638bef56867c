"""The errors of the client.

ClientError
├── Unreachable      no answer: connection refused, cut, or too slow
├── Refused          an answer with a problem: status, code, detail, field
│   ├── Invalid      400, 413, 422: the request is not as it should be
│   ├── NotFound     404
│   ├── Conflict     409: the job's state does not allow it
│   └── Unavailable  408, 425, 429, 5xx: try again later
├── BadSignature     a webhook that foreman did not sign, or an old one
├── StillRunning     the job did not end within the time that was given
└── Unsuccessful     the job ended without a result: `job` says how
"""

from __future__ import annotations  # Python 3.9

from typing import Any

import requests


class ClientError(Exception):
    """Whatever goes wrong between a program and foreman."""


class Unreachable(ClientError):
    """There was no answer."""


class BadSignature(ClientError):
    """A webhook was not signed with the secret, or not lately: do not use it."""


class Refused(ClientError):
    """Foreman answered with a problem."""

    def __init__(self, status: int, code: str, detail: str, field: str | None = None) -> None:
        super().__init__(f"{detail} ({code})")
        self.status = status
        self.code = code
        self.detail = detail
        self.field = field
        self.retry_after_s: float | None = None


class Invalid(Refused):
    """The request is not as it should be."""


class NotFound(Refused):
    """There is no such thing."""


class Conflict(Refused):
    """The state of the job does not allow this."""


class Unavailable(Refused):
    """Foreman cannot serve this now."""


def refusal_of(answer: requests.Response) -> Refused:
    """The error that an answer tells, whoever made it: a proxy's has no problem in it."""
    try:
        shown = answer.json()
        told = shown if isinstance(shown, dict) else {}
    except ValueError:
        told = {}
    refusal = refused(answer.status_code, told, answer.text[:200] or answer.reason)
    after = answer.headers.get("Retry-After", "")
    if after.isdecimal():
        refusal.retry_after_s = float(after)
    return refusal


def refused(status: int, told: dict[str, Any], otherwise: str) -> Refused:
    is_passing = status >= 500 or status in (408, 425, 429)
    kind: type[Refused] = Unavailable if is_passing else Refused
    kind = {400: Invalid, 404: NotFound, 409: Conflict, 413: Invalid, 422: Invalid}.get(
        status, kind
    )
    code = str(told.get("type", "")).rpartition("#")[2] or f"http_{status}"
    return kind(status, code, str(told.get("detail") or otherwise), told.get("field"))
