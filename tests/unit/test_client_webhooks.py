"""A receiver's check of a webhook: signed with the secret, lately, whatever its framework."""

from collections.abc import Mapping

import pytest

from foreman.client import BadSignature, verify
from foreman.core.webhooks import make_secret, signed_headers

SECRET, OTHER = make_secret(b"s" * 24), make_secret(b"o" * 24)
NOW_S = 1_800_000_000
BODY = b'{"type": "job.succeeded", "data": {"seq": 3}}'
EVENT = {"type": "job.succeeded", "data": {"seq": 3}}
SIGNED = signed_headers([SECRET], "msg_1", NOW_S, BODY)


def as_wsgi(headers: Mapping[str, str]) -> dict[str, str]:
    return {f"HTTP_{name.upper().replace('-', '_')}": text for name, text in headers.items()}


@pytest.mark.parametrize(
    "headers",
    [SIGNED, {name.title(): text for name, text in SIGNED.items()}, as_wsgi(SIGNED)],
    ids=["as sent", "in another case", "of a WSGI environ"],
)
def test_what_foreman_signed_is_returned(headers: dict[str, str]) -> None:
    assert verify(BODY, headers, SECRET, now_s=NOW_S + 299) == EVENT


def test_while_a_secret_is_changed_either_counts() -> None:
    both = signed_headers([SECRET, OTHER], "msg_1", NOW_S, BODY)

    assert verify(BODY, both, OTHER, now_s=NOW_S) == EVENT
    assert verify(BODY, SIGNED, f"{OTHER},{SECRET}", now_s=NOW_S) == EVENT


@pytest.mark.parametrize(
    ("body", "headers", "now_s", "reason"),
    [
        (BODY + b" ", SIGNED, NOW_S, "not signed with this secret"),
        (BODY, SIGNED | {"webhook-id": "msg_2"}, NOW_S, "not signed with this secret"),
        (BODY, SIGNED | {"webhook-signature": "v1,é"}, NOW_S, "not signed with this secret"),
        (BODY, {}, NOW_S, "webhook-timestamp"),
        (BODY, SIGNED | {"webhook-timestamp": "1e9"}, NOW_S, "webhook-timestamp"),
        (BODY, SIGNED, NOW_S + 301, "within 300 s"),
        (BODY, SIGNED, NOW_S - 301, "within 300 s"),
    ],
)
def test_anything_else_is_refused(
    body: bytes, headers: dict[str, str], now_s: float, reason: str
) -> None:
    with pytest.raises(BadSignature, match=reason):
        verify(body, headers, SECRET, now_s=now_s)


@pytest.mark.parametrize("secret", ["", "secret", "whsec_*"])
def test_what_is_no_secret_is_reported_as_the_programs_own_error(secret: str) -> None:
    with pytest.raises(ValueError, match="webhook secret"):
        verify(BODY, SIGNED, secret, now_s=NOW_S)
