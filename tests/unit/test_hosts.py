"""Names that foreman answers to while it is bound to loopback."""

import socket

import pytest
from flask import Flask

from foreman.api import errors, hosts

LOCAL = [
    "localhost", "localhost:11435", "LOCALHOST:1", "127.0.0.1:11435", "127.1.2.3", "[::1]:11435",
    "[::1]", "::1", "10.1.2.3:80", "192.168.0.9", "172.16.0.1", "[fd12::1]:80", "0.0.0.0:11435",
    "a.localhost", "box.local:80", "api.box.internal", socket.gethostname(), "",
]  # fmt: skip
FOREIGN = [
    "evil.example", "evil.example:11435", "8.8.8.8", "[2606:4700::1111]:80",
    "localhost.evil.example", "127.0.0.1.evil.example", "127.0.0.1@evil.example", "local", ".local",
    "internal", "mylocalhost", "localhost\n", "localhost:80:80",
]  # fmt: skip


def status(host: str, bound_to: str = "127.0.0.1", path: str = "/healthz") -> int:
    app = Flask("hosts")
    hosts.install(app, bound_to)
    errors.install(app)
    app.add_url_rule("/healthz", "healthz", lambda: "ok")
    environ = {"HTTP_HOST": host}
    return app.test_client().get(path, environ_overrides=environ).status_code


@pytest.mark.parametrize("host", LOCAL)
def test_names_of_this_machine_are_answered(host: str) -> None:
    assert status(host) == 200


@pytest.mark.parametrize("host", FOREIGN)
def test_any_other_name_is_refused(host: str) -> None:
    assert status(host) == 403


def test_a_path_that_is_not_there_is_refused_before_it_is_looked_for() -> None:
    assert status("evil.example", path="/nowhere") == 403


@pytest.mark.parametrize("bound_to", ["127.0.0.1", "127.0.0.9", "::1", "[::1]", "localhost"])
def test_every_loopback_address_is_guarded(bound_to: str) -> None:
    assert status("evil.example", bound_to) == 403


@pytest.mark.parametrize("bound_to", ["0.0.0.0", "::", "10.0.0.1", "foreman.example"])
def test_behind_a_router_any_name_is_answered(bound_to: str) -> None:
    assert status("foreman.example", bound_to) == 200
