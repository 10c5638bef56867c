"""Real servers behind TLS with a CA of our own, and the CA of somebody else."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.fakes.tls import Authority, Opening, TlsProxy, as_postgres, at_once
from tests.servers import PostgresServer

NewProxy = Callable[..., TlsProxy]

# The scheme of each broker that has TLS, and the kind that `new_broker_url` knows it by.
SCHEMES = {"rediss": "redis", "amqps": "rabbitmq"}


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"), "ours")


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"), "theirs")


@pytest.fixture
def new_proxy(authority: Authority) -> Iterator[NewProxy]:
    """Makes a TLS server in front of a plain one, with a certificate for `host` by our CA."""
    with ExitStack() as stack:

        def make(
            address: tuple[str, int] | str, *, host: str = "localhost", opening: Opening = at_once
        ) -> TlsProxy:
            return stack.enter_context(TlsProxy(address, authority.context(host), opening))

        yield make


@pytest.fixture
def plain_port(postgres: PostgresServer) -> Iterator[int]:
    """A port that leads to PostgreSQL as it is, without TLS."""
    with TlsProxy(socket_of(postgres), None) as proxy:
        yield proxy.port


@pytest.fixture
def database_proxy(postgres: PostgresServer, new_proxy: NewProxy) -> TlsProxy:
    """PostgreSQL behind TLS as db.example."""
    return new_proxy(socket_of(postgres), host="db.example", opening=as_postgres)


def socket_of(postgres: PostgresServer) -> str:
    return str(postgres.places.sockets / ".s.PGSQL.5432")


def database_at(port: int, database_url: str, *options: str, host: str = "db.example") -> str:
    """The URL of a test's database by way of a port of this machine, as if it were another one."""
    name = Path(database_url.partition("?")[0]).name
    query = "&".join(["hostaddr=127.0.0.1", *options])
    return f"postgresql://foreman@{host}:{port}/{name}?{query}"
