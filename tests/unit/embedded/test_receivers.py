"""Where webhooks may go from a `bin/run` whose user says nothing of it."""

import pytest

from foreman.config import from_env
from foreman.embedded.receivers import own_ports, webhook_allow
from foreman.listen import LISTEN_PORT
from tests.factories import environ

LISTENER = "127.0.0.1:8787,[::1]:8787"


@pytest.mark.parametrize(
    ("given", "allowed"),
    [
        ({}, LISTENER),
        ({"FOREMAN_HOST": "127.0.0.1"}, LISTENER),
        ({"FOREMAN_HOST": "[::1]"}, LISTENER),
        ({"FOREMAN_HOST": "localhost"}, LISTENER),
        ({"FOREMAN_HOST": "0.0.0.0"}, ""),  # strangers shall not reach loopback through us
        ({"FOREMAN_HOST": "10.1.2.3"}, ""),
        ({"FOREMAN_WEBHOOK_ALLOW": ""}, ""),
        ({"FOREMAN_WEBHOOK_ALLOW": "10.0.0.0/8"}, "10.0.0.0/8"),
        ({"PORT": str(LISTEN_PORT)}, ""),
        ({"FOREMAN_TARGETS": f"a=http://127.0.0.1:{LISTEN_PORT}"}, ""),
        ({"FOREMAN_BROKER_URL": f"redis://127.0.0.1:{LISTEN_PORT}"}, ""),
    ],
)
def test_webhooks_may_go_to_the_example_receiver_and_to_nothing_else_here(
    given: dict[str, str], allowed: str
) -> None:
    environment = environ(**given)

    assert webhook_allow(environment, from_env(environment), 5555) == allowed


def test_flowers_port_is_never_one_of_a_receiver() -> None:
    assert webhook_allow({}, from_env(environ()), LISTEN_PORT) == ""


def test_our_ports_are_those_of_the_processes_the_servers_and_the_targets() -> None:
    settings = from_env(
        environ(
            PORT="1000",
            DATABASE_URL="postgres://u:p#/w@127.0.0.1:1001/db",
            FOREMAN_BROKER_URL="redis://127.0.0.1:1002",
            FOREMAN_TARGETS="a=http://127.0.0.1:1003,b=https://gpu",
        )
    )

    found = own_ports(settings, 1004)

    assert found >= {1000, 1002, 1003, 1004, 443}


@pytest.mark.parametrize(
    ("database", "broker", "ports"),
    [
        ("postgres://u:p@127.0.0.1:1001/db", "amqp://127.0.0.1:1002/", {1001, 1002}),
        ("postgres://u:p@db/db", "redis://b", {5432, 6379}),
        ("postgresql://u@/db?host=/run/x&port=5432", "redis+socket:///run/y.sock", {5432}),
    ],
)
def test_a_server_without_a_port_has_the_one_of_its_kind(
    database: str, broker: str, ports: set[int]
) -> None:
    settings = from_env(environ(DATABASE_URL=database, FOREMAN_BROKER_URL=broker, PORT="1000"))

    assert own_ports(settings, 1000) >= ports
