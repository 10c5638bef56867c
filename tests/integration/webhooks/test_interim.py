"""Interim responses (1xx) of a receiver: the final one counts, and a flood of them is a failure."""

import time

import pytest

from foreman.adapters.webhook import WebhookClient
from foreman.core.receivers import parse_opening
from foreman.core.webhooks import AttemptError, Outcome
from tests.fakes import receiver as fakes
from tests.integration.webhooks.conftest import NewReceiver

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
PROCESSING = b"HTTP/1.1 102 Processing\r\n\r\n"
HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n"
FINAL = b"HTTP/1.1 %d Final\r\nContent-Length: 4\r\nRetry-After: 7\r\n\r\nbody"
LIMIT_S = 2.0
SLACK_S = 5.0


def post(url: str) -> Outcome:
    client = WebhookClient(
        allow=[parse_opening("127.0.0.1")], ports=[range(1, 65536)], exchange_s=LIMIT_S
    )
    return client.post(url, {"webhook-id": "id"}, b"{}")


@pytest.mark.parametrize(
    "interim", [CONTINUE, PROCESSING, HINTS, CONTINUE + HINTS + PROCESSING * 20]
)
@pytest.mark.parametrize(
    ("status", "error"),
    [(200, None), (204, None), (410, AttemptError.HTTP), (503, AttemptError.HTTP)],
)
def test_the_final_response_counts(
    new_receiver: NewReceiver, interim: bytes, status: int, error: AttemptError | None
) -> None:
    outcome = post(new_receiver(fakes.raw(interim + FINAL % status)).url)

    assert (outcome.status, outcome.error, outcome.retry_after) == (status, error, "7")
    assert outcome.excerpt == (b"" if status == 204 else b"body")


def test_interim_responses_that_come_one_by_one_are_read_over(new_receiver: NewReceiver) -> None:
    def answer(connection, got):  # type: ignore[no-untyped-def]  # as fakes.receiver.Answer
        for piece in (HINTS, PROCESSING[:9], PROCESSING[9:], FINAL % 202):
            connection.sendall(piece)
            time.sleep(0.05)

    outcome = post(new_receiver(answer).url)

    assert (outcome.status, outcome.error, outcome.excerpt) == (202, None, b"body")


def test_another_protocol_was_not_asked_for(new_receiver: NewReceiver) -> None:
    switching = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n" + FINAL % 200

    outcome = post(new_receiver(fakes.raw(switching)).url)

    assert (outcome.status, outcome.error) == (101, AttemptError.HTTP)


@pytest.mark.parametrize("interim", [CONTINUE, PROCESSING, HINTS])
def test_a_flood_of_interim_responses_is_a_failure(
    new_receiver: NewReceiver, interim: bytes
) -> None:
    began_at = time.thread_time()

    outcome = post(new_receiver(fakes.raw(interim * 100_000 + FINAL % 200)).url)

    assert (outcome.status, outcome.error) == (None, AttemptError.HTTP)
    assert time.thread_time() - began_at < LIMIT_S / 2


@pytest.mark.parametrize("interim", [CONTINUE, HINTS])
def test_interim_responses_do_not_extend_the_deadline(
    new_receiver: NewReceiver, interim: bytes
) -> None:
    began_at = time.monotonic()

    outcome = post(new_receiver(fakes.drip(interim)).url)

    assert (outcome.status, outcome.error) == (None, AttemptError.TIMEOUT)
    assert time.monotonic() - began_at < LIMIT_S + SLACK_S


@pytest.mark.parametrize("interim", [CONTINUE, HINTS])
def test_an_end_after_an_interim_response_is_no_answer(
    new_receiver: NewReceiver, interim: bytes
) -> None:
    outcome = post(new_receiver(fakes.raw(interim)).url)

    assert (outcome.status, outcome.error) == (None, AttemptError.RESET)
