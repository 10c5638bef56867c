"""What a process says at its start."""

import logging

import pytest

from foreman.config import from_env
from foreman.embedded.probe import free_port
from foreman.services import startup
from tests.factories import environ

KEY = "a" * 43 + "="


def test_webhook_secrets_in_plain_text_are_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    startup.warn(from_env(environ()))

    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.message == "webhook secrets are stored in plain text"
    assert record.__dict__["variable"] == "FOREMAN_SECRET_KEY"


def test_with_a_key_nothing_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    startup.warn(from_env(environ(FOREMAN_SECRET_KEY=KEY)))

    assert caplog.records == []


def test_a_variable_that_nobody_reads_is_warned_of(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOREMAN_LEASE", "15")
    startup.warn(from_env(environ(FOREMAN_SECRET_KEY=KEY)))

    (record,) = caplog.records
    assert record.message == "unknown variable ignored"
    assert record.__dict__["variable"] == "FOREMAN_LEASE"
    assert record.__dict__["did_you_mean"] == "FOREMAN_LEASE_S"


@pytest.mark.parametrize("scheme", ["redis", "rediss", "amqp", "amqps"])
def test_servers_that_are_away_are_named_by_their_variables(
    scheme: str, caplog: pytest.LogCaptureFixture
) -> None:
    settings = from_env(
        environ(
            DATABASE_URL=f"postgres://u:hunter2@127.0.0.1:{free_port()}/x",
            FOREMAN_BROKER_URL=f"{scheme}://u:hunter2@127.0.0.1:{free_port()}/0",
        )
    )

    startup.check_servers(settings).join(60)

    reasons = {record.message: str(record.__dict__["error"]) for record in caplog.records}
    assert reasons["database cannot be used"].startswith("DATABASE_URL: ")
    assert reasons["broker cannot be used"].startswith("FOREMAN_BROKER_URL, CLOUDAMQP_URL or ")
    assert "hunter2" not in caplog.text + str(reasons)
