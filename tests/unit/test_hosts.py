"""Names that foreman answers to, and which of them vouch for an Origin."""

import socket
import time

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


def status(
    host: str,
    bound_to: str = "127.0.0.1",
    path: str = "/queues",
    names: tuple[str, ...] = (),
    method: str = "GET",
) -> int:
    app = Flask("hosts")
    hosts.install(app, hosts.HostNames(bound_to, names))
    errors.install(app)
    app.add_url_rule("/queues", "queues", lambda: "ok")
    app.add_url_rule("/healthz", "healthz", lambda: "ok", methods=["GET", "POST"])
    app.add_url_rule("/readyz", "readyz", lambda: "ok")
    environ = {"HTTP_HOST": host}
    return app.test_client().open(path, method=method, environ_overrides=environ).status_code


@pytest.mark.parametrize("host", LOCAL)
def test_names_of_this_machine_are_answered(host: str) -> None:
    assert status(host) == 200


@pytest.mark.parametrize("host", FOREIGN)
def test_any_other_name_is_refused(host: str) -> None:
    assert status(host) == 403


def test_a_path_that_is_not_there_is_refused_before_it_is_looked_for() -> None:
    assert status("evil.example", path="/nowhere") == 403


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
@pytest.mark.parametrize("names", [(), ("foreman.example",)])
def test_a_load_balancer_asks_for_the_health_by_any_address(
    path: str, names: tuple[str, ...]
) -> None:
    assert status("8.8.8.8:11435", path=path, names=names) == 200
    assert status("evil.example", path=path, names=names, method="HEAD") == 200


@pytest.mark.parametrize(("path", "method"), [("/healthz", "POST"), ("/healthz/x", "GET")])
def test_nothing_near_the_health_endpoints_is_answered(path: str, method: str) -> None:
    assert status("evil.example", path=path, method=method) == 403


@pytest.mark.parametrize("bound_to", ["127.0.0.1", "127.0.0.9", "::1", "[::1]", "localhost"])
def test_every_loopback_address_is_guarded(bound_to: str) -> None:
    assert status("evil.example", bound_to) == 403


@pytest.mark.parametrize("bound_to", ["0.0.0.0", "::", "10.0.0.1", "foreman.example"])
def test_behind_a_router_any_name_is_answered(bound_to: str) -> None:
    assert status("foreman.example", bound_to) == 200


NAMES = ("foreman.example", "*.corp.example", "10.1.2.*", "[fd12::1]")


@pytest.mark.parametrize("bound_to", ["127.0.0.1", "0.0.0.0"])
@pytest.mark.parametrize(
    "host",
    [
        "foreman.example", "FOREMAN.example:443", "a.corp.example:80", "10.1.2.77:8080",
        "[fd12::1]:80", "localhost:11435", "127.0.0.1", "[::1]:1", "",
    ],
)  # fmt: skip
def test_the_names_of_the_setting_and_loopbacks_are_answered_on_every_address(
    host: str, bound_to: str
) -> None:
    assert status(host, bound_to, names=NAMES) == 200


@pytest.mark.parametrize("bound_to", ["127.0.0.1", "0.0.0.0"])
@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "foreman.example.evil.example", "xforeman.example", "corp.example",
        "192.168.1.5", "10.1.3.1", "box.local", "foreman.example@evil.example", "localhost.evil",
        "foreman.example\n", "foreman.example:80:80", "8.8.8.8",
    ],
)  # fmt: skip
def test_with_the_setting_no_other_name_is_answered(host: str, bound_to: str) -> None:
    assert status(host, bound_to, names=NAMES) == 403


@pytest.mark.parametrize("host", ["foreman.example", "evil.example:80", "box.local", ""])
def test_a_name_that_nobody_checks_vouches_for_nothing(host: str) -> None:
    assert not hosts.HostNames("0.0.0.0").vouches_for(host)


@pytest.mark.parametrize("host", ["192.168.1.5:11435", "8.8.8.8", "[fd12::1]:80", "localhost:1"])
def test_an_address_vouches_for_itself(host: str) -> None:
    assert hosts.HostNames("0.0.0.0").vouches_for(host)


def test_a_star_alone_is_every_name_and_checks_none() -> None:
    assert status("evil.example", "127.0.0.1", names=("*",)) == 200
    assert not hosts.HostNames("127.0.0.1", ("*",)).vouches_for("evil.example")


def test_a_name_that_is_checked_vouches_for_itself() -> None:
    assert hosts.HostNames("0.0.0.0", NAMES).vouches_for("foreman.example:443")
    assert hosts.HostNames("127.0.0.1").vouches_for("box.local:11435")
    assert not hosts.HostNames("127.0.0.1").vouches_for("evil.example")


def test_a_name_that_is_too_long_for_one_is_refused_without_a_search() -> None:
    names = hosts.HostNames("0.0.0.0", ["*.a.*.b.*.c"])
    assert names.allows("x.a.y.b.z.c")
    began_s = time.process_time()

    assert not names.allows("x.a.b" * 12_000)

    assert time.process_time() - began_s < 0.1  # the search would take a second and more
