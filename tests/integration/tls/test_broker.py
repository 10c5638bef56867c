"""TLS to the broker: every connection verifies certificate and host name."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from urllib.parse import urlsplit

import pytest
from celery import Celery
from kombu import Connection

from foreman.adapters import broker
from foreman.config import Settings, from_env
from foreman.services.startup import broker_problem
from tests.factories import environ
from tests.fakes.tls import Authority, TlsProxy
from tests.integration.tls.conftest import SCHEMES, NewProxy

Open = Callable[[Settings], None]


def as_foreman(settings: Settings) -> None:
    """Publisher, inbox, senders, relay."""
    with closing(broker.connect(settings)) as connection:
        connection.channel()


def as_drain(settings: Settings) -> None:
    connection = broker.connect_to_drain(settings)
    with closing(connection):
        connection.channel()


def as_celery(settings: Settings) -> None:
    """The worker's own connections, remote control, events."""
    app = broker.make_celery(settings)
    for connection in (app.connection_for_read(), app.connection_for_write()):
        with closing(connection):
            connection.channel()


def as_celery_by_its_url(settings: Settings) -> None:
    """A connection that is made of the URL alone, as Celery's helpers do."""
    app: Celery = broker.make_celery(settings)
    with closing(Connection(app.conf.broker_url, connect_timeout=5)) as connection:
        connection.channel()


WAYS = [as_foreman, as_drain, as_celery]


@pytest.fixture(scope="module", params=sorted(SCHEMES))
def scheme(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def plain(scheme: str, new_broker_url: Callable[[str], str]) -> str:
    """The URL of a broker without TLS."""
    return new_broker_url(SCHEMES[scheme])


@pytest.fixture
def proxy(plain: str, new_proxy: NewProxy) -> TlsProxy:
    """It behind TLS, as `localhost`."""
    return new_proxy(("127.0.0.1", urlsplit(plain).port or 0))


def settings_for(scheme: str, plain: str, port: int, query: str = "") -> Settings:
    parts = urlsplit(plain)
    user = f"{parts.username}:{parts.password}@" if parts.username else ""
    url = f"{scheme}://{user}localhost:{port}{parts.path}{query}"
    return from_env(environ(FOREMAN_BROKER_URL=url))


@pytest.mark.parametrize("way", WAYS)
def test_a_certificate_of_the_ca_that_the_url_names_is_taken(
    scheme: str, plain: str, proxy: TlsProxy, authority: Authority, way: Open
) -> None:
    way(settings_for(scheme, plain, proxy.port, f"?ssl_ca_certs={authority.file}"))

    assert proxy.handshakes >= 1


@pytest.mark.parametrize("way", WAYS)
def test_a_certificate_of_the_systems_ca_is_taken(
    scheme: str,
    plain: str,
    proxy: TlsProxy,
    authority: Authority,
    way: Open,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))

    way(settings_for(scheme, plain, proxy.port))

    assert proxy.handshakes >= 1


@pytest.mark.parametrize("way", [*WAYS, as_celery_by_its_url])
@pytest.mark.parametrize("trusts_stranger", [False, True])
def test_a_certificate_of_another_ca_is_refused(
    scheme: str,
    plain: str,
    proxy: TlsProxy,
    stranger: Authority,
    trusts_stranger: bool,
    way: Open,
) -> None:
    query = f"?ssl_ca_certs={stranger.file}" if trusts_stranger else ""
    settings = settings_for(scheme, plain, proxy.port, query)

    with pytest.raises(Exception, match="certificate verify failed"):
        way(settings)

    assert proxy.handshakes == 0
    problem = broker_problem(settings)
    assert problem is not None
    assert problem.startswith("FOREMAN_BROKER_URL, CLOUDAMQP_URL or REDIS_URL: ")
    assert "certificate is not trusted: " in problem
    assert "?ssl_ca_certs=" in problem


@pytest.mark.parametrize("way", WAYS)
def test_a_certificate_of_another_host_is_refused(
    scheme: str, plain: str, new_proxy: NewProxy, authority: Authority, way: Open
) -> None:
    proxy = new_proxy(("127.0.0.1", urlsplit(plain).port or 0), host="other.example")
    settings = settings_for(scheme, plain, proxy.port, f"?ssl_ca_certs={authority.file}")

    with pytest.raises(Exception, match=r"Hostname mismatch|certificate verify failed"):
        way(settings)

    assert proxy.handshakes == 0
    assert "Hostname mismatch" in (broker_problem(settings) or "")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "query", ["?ssl_cert_reqs=none", "?ssl_check_hostname=false&ssl_ca_certs={ca}"]
)
def test_the_url_may_turn_checks_off(
    scheme: str, plain: str, new_proxy: NewProxy, authority: Authority, way: Open, query: str
) -> None:
    proxy = new_proxy(("127.0.0.1", urlsplit(plain).port or 0), host="other.example")
    settings = settings_for(scheme, plain, proxy.port, query.format(ca=authority.file))

    way(settings)

    assert proxy.handshakes >= 1
    assert broker_problem(settings) is None


@pytest.mark.parametrize("way", WAYS)
def test_a_server_without_tls_is_refused_and_told_nothing(
    scheme: str, listener: "Listener", way: Open
) -> None:
    url = f"{scheme}://user:hunter2@localhost:{listener.port}/0"
    settings = from_env(environ(FOREMAN_BROKER_URL=url))

    with pytest.raises(Exception):  # noqa: B017, PT011  # each library has its own
        way(settings)

    assert listener.heard
    assert b"hunter2" not in listener.heard
    problem = broker_problem(settings)
    assert problem is not None
    assert problem.startswith("FOREMAN_BROKER_URL, ")
    assert "hunter2" not in problem


class Listener:
    """A plain server that answers as no TLS server would, and remembers what it heard."""

    def __init__(self, server: socket.socket) -> None:
        self.port: int = server.getsockname()[1]
        self.heard = b""
        self._server = server
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            with connection:
                self.heard += connection.recv(65536)
                connection.sendall(b"-ERR this is no TLS\r\n")


@pytest.fixture
def listener() -> Iterator[Listener]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield Listener(server)
