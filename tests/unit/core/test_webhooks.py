"""Standard Webhooks: signatures that others verify, the schedule, what an answer means."""

import base64
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from foreman.core.states import DeliveryState
from foreman.core.webhooks import (
    EXCERPT_BYTES,
    RETRY_STEPS_S,
    AttemptError,
    Outcome,
    Verdict,
    excerpt_text,
    judge,
    make_secret,
    retry_after_s,
    secret_key,
    signature,
    signed_headers,
)

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
# The test vector that Standard Webhooks publishes.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
MESSAGE, TIMESTAMP, BODY = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def failed(status: int | None = 500, retry_after: str | None = None) -> Outcome:
    return Outcome(1, status, AttemptError.HTTP, retry_after=retry_after)


def wait_s(outcome: Outcome, *, attempts: int = 1, random: float = 0.5) -> float:
    verdict = judge(outcome, attempts=attempts, random=random, at=NOW)
    assert verdict.state is DeliveryState.PENDING
    return verdict.wait_s


def test_the_published_vector_is_met() -> None:
    assert signature(SECRET, MESSAGE, TIMESTAMP, BODY) == SIGNATURE


@given(body=st.binary(max_size=100), random=st.binary(min_size=24, max_size=64))
def test_somebody_elses_verifier_accepts_what_we_sign(body: bytes, random: bytes) -> None:
    body = b'{"b": "' + base64.b64encode(body) + b'"}'  # the library reads it as JSON
    secret = make_secret(random)
    headers = signed_headers([secret], "id", int(time.time()), body)

    Webhook(secret).verify(body, headers)


def test_somebody_elses_verifier_refuses_a_changed_body() -> None:
    headers = signed_headers([SECRET], "id", int(time.time()), b'{"a": 1}')

    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(b'{"a": 2}', headers)


def test_every_live_secret_signs() -> None:
    other = make_secret(b"x" * 24)
    headers = signed_headers([other, SECRET], "id", int(time.time()), b"{}")

    for secret in (other, SECRET):
        Webhook(secret).verify(b"{}", headers)


def test_without_a_secret_nothing_is_signed() -> None:
    assert signed_headers([], "id", 7, b"{}") == {"webhook-id": "id", "webhook-timestamp": "7"}


@pytest.mark.parametrize("size", [24, 64])
def test_a_secret_is_read_as_it_was_made(size: int) -> None:
    random = bytes(range(size))

    assert secret_key(make_secret(random)) == random


@pytest.mark.parametrize("size", [0, 23, 65])
def test_a_secret_of_another_size_is_not_made(size: int) -> None:
    with pytest.raises(ValueError, match="24 to 64"):
        make_secret(b"x" * size)


@pytest.mark.parametrize(
    "secret",
    [
        "", "whsec_", "whsec_c2hvcnQ=", SECRET.removeprefix("whsec_"), SECRET.upper(),
        "whsk_" + SECRET[6:], SECRET + "!", SECRET[:-1], "whsec_" + "A" * 88,
    ],
)  # fmt: skip
def test_what_is_no_secret_is_refused(secret: str) -> None:
    with pytest.raises(ValueError, match="whsec_"):
        secret_key(secret)


def test_the_schedule_is_the_documented_one() -> None:
    waits = [wait_s(failed(), attempts=attempts) for attempts in range(1, 11)]

    minute, hour = 60, 3600
    assert waits == pytest.approx(
        [5, 30, 5 * minute, 30 * minute, *(hours * hour for hours in (2, 5, 10, 14, 20, 24))]
    )


def test_the_eleventh_attempt_is_the_last() -> None:
    verdict = judge(failed(), attempts=11, random=0.5, at=NOW)

    assert verdict == Verdict(DeliveryState.FAILED)


@given(random=st.floats(0, 1, exclude_max=True), attempts=st.integers(1, len(RETRY_STEPS_S)))
def test_chance_moves_an_attempt_by_a_fifth_at_most(random: float, attempts: int) -> None:
    step = RETRY_STEPS_S[attempts - 1]

    assert 0.8 * step <= wait_s(failed(), attempts=attempts, random=random) <= 1.2 * step


def test_chance_goes_both_ways() -> None:
    assert wait_s(failed(), random=0.0) == pytest.approx(4)
    assert wait_s(failed(), random=0.999) > 5.9


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_2xx_is_success(status: int) -> None:
    verdict = judge(Outcome(1, status), attempts=1, random=0.5, at=NOW)

    assert verdict == Verdict(DeliveryState.SUCCEEDED)


def test_410_is_the_end_of_the_hook() -> None:
    verdict = judge(failed(410), attempts=1, random=0.5, at=NOW)

    assert verdict == Verdict(DeliveryState.FAILED, is_gone=True)


@pytest.mark.parametrize("error", AttemptError)
def test_every_error_is_tried_again(error: AttemptError) -> None:
    assert wait_s(Outcome(1, None, error)) > 0


@pytest.mark.parametrize(
    ("status", "attempts", "value", "expected_s"),
    [
        (429, 1, "60", 60),
        (503, 1, "60", 60),
        (429, 1, "2.5", 5),  # never sooner than the step
        (429, 1, "0", 5),
        (429, 1, "-3", 5),
        (429, 1, "7200", 3600),  # an hour at most, while the step is short
        (429, 5, "86400", 14_400),  # later, twice the step
        (429, 1, format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90),
        (429, 1, format_datetime(NOW - timedelta(days=1), usegmt=True), 5),
        (429, 1, "soon", 5),
        (429, 1, "nan", 5),
        (429, 1, "inf", 5),
        (500, 1, "60", 5),  # of no other status
    ],
)
def test_a_retry_after_is_followed_within_bounds(
    status: int, attempts: int, value: str, expected_s: float
) -> None:
    assert wait_s(failed(status, value), attempts=attempts) == pytest.approx(expected_s)


@given(st.text())
def test_any_retry_after_can_be_read(value: str) -> None:
    asked_s = retry_after_s(value, NOW)

    assert asked_s is None or asked_s >= 0


@given(st.binary(max_size=3 * EXCERPT_BYTES))
def test_any_excerpt_can_be_kept(content: bytes) -> None:
    text = excerpt_text(content)

    assert "\0" not in text
    assert len(text) <= EXCERPT_BYTES
    text.encode()
