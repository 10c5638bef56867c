"""The links of the chaos command do to a connection what they are asked to do, and heal."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.chaos.proxy import Link, Network
from tests.stack import wait_for

SOON_S, LIMIT_S = 0.2, 10.0


@pytest.fixture(scope="module")
def echo_port() -> Iterator[int]:
    """A server that answers every piece with the same bytes."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve(connection: socket.socket) -> None:
            with suppress(OSError), connection:
                while piece := connection.recv(65536):
                    connection.sendall(piece)

        def accept() -> None:
            with suppress(OSError):
                while True:
                    threading.Thread(target=serve, args=server.accept()[:1], daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def link(echo_port: int) -> Iterator[Link]:
    network = Network()
    yield network.link(echo_port)
    network.close()


def connected(link: Link) -> socket.socket:
    return socket.create_connection(("127.0.0.1", link.port), timeout=LIMIT_S)


def echo(connection: socket.socket, content: bytes = b"hello", limit_s: float = LIMIT_S) -> bytes:
    """What comes back of `content`; b"" when nothing does, or the connection ends."""
    connection.settimeout(limit_s)
    got = b""
    with suppress(OSError):
        connection.sendall(content)
        while len(got) < len(content) and (piece := connection.recv(65536)):
            got += piece
    return got


def test_a_whole_link_passes_everything_on_and_an_end_too(link: Link) -> None:
    with connected(link) as connection:
        assert echo(connection, b"x" * 1_000_000) == b"x" * 1_000_000
    wait_for(lambda: link.connections == 0)


def test_a_cut_resets_what_is_open_and_new_connections_work(link: Link) -> None:
    with connected(link) as connection:
        echo(connection)
        link.cut()
        with pytest.raises(ConnectionResetError):
            connection.recv(1)
    with connected(link) as another:
        assert echo(another) == b"hello"


def test_an_orderly_cut_is_an_end(link: Link) -> None:
    with connected(link) as connection:
        echo(connection)
        link.cut(reset=False)
        assert connection.recv(1) == b""


def test_a_connection_after_many_that_were_reset_is_whole(link: Link) -> None:
    for _ in range(50):
        with connected(link) as connection:
            echo(connection)
            # Closed with a reset, while the server's direction is being waited for.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with connected(link) as another:
            assert echo(another, limit_s=2.0) == b"hello"


def test_a_refusing_link_answers_nobody_until_it_heals(link: Link) -> None:
    link.refuse()
    with suppress(OSError), connected(link) as connection:
        assert echo(connection) == b""
    link.heal()
    with connected(link) as connection:
        assert echo(connection) == b"hello"


def test_a_frozen_link_goes_on_where_it_was(link: Link) -> None:
    with connected(link) as connection:
        echo(connection)
        link.freeze()
        assert echo(connection, b"held", SOON_S) == b""
        with connected(link) as another:
            assert echo(another, b"held", SOON_S) == b""
            link.heal()
            connection.settimeout(LIMIT_S)
            assert connection.recv(4) == b"held"


def test_a_silent_link_passes_on_nothing_of_what_was_open_for_good(link: Link) -> None:
    with connected(link) as connection:
        echo(connection)
        link.silence()
        link.heal()
        assert echo(connection, limit_s=SOON_S) == b""
        with connected(link) as another:
            assert echo(another) == b"hello"


def test_an_acknowledging_link_takes_everything_and_answers_nothing(link: Link) -> None:
    link.acknowledge()
    with connected(link) as connection:
        assert echo(connection, b"x" * 3_000_000, SOON_S) == b""
        link.heal()
        assert echo(connection, limit_s=SOON_S) == b""
    with connected(link) as another:
        assert echo(another) == b"hello"


def test_a_slicing_link_loses_and_swaps_no_byte(link: Link) -> None:
    link.slice()
    with connected(link) as connection:
        assert echo(connection, bytes(range(256))) == bytes(range(256))


def test_a_slow_link_passes_on_late(link: Link) -> None:
    link.delay(0.5)
    with connected(link) as connection:
        assert echo(connection, limit_s=SOON_S) == b""
        connection.settimeout(LIMIT_S)
        assert connection.recv(5) == b"hello"


def test_a_half_closed_link_ends_one_direction(link: Link) -> None:
    with connected(link) as connection:
        echo(connection)
        link.half_close()
        assert connection.recv(1) == b""
