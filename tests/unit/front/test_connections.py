"""Which connection makes room for another one, and when a request has no place."""

import pytest

from foreman.front.connections import Connection, Connections, Limits, address_of


class Ground:
    """Connections under small limits; `closed` names the ones that were closed, in order."""

    def __init__(self, *, connections: int = 100, requests: int = 100, per_address: int = 100):
        self.connections = Connections(Limits(connections, requests, per_address))
        self.closed: list[str] = []

    def opened(self, name: str, address: str = "a") -> Connection:
        connection = Connection(address, lambda: self.closed.append(name))
        self.connections.add(connection)
        return connection

    def idle(self, name: str, address: str = "a") -> Connection:
        """One that has had a request."""
        connection = self.opened(name, address)
        self.connections.begin(connection)
        self.connections.end(connection)
        return connection


def test_the_oldest_silent_connection_of_an_address_makes_room() -> None:
    ground = Ground(per_address=2)

    for name in ("1", "2", "3", "4"):
        ground.opened(name)
    ground.opened("other", "b")

    assert ground.closed == ["1", "2"]
    assert len(ground.connections) == 3


def test_one_that_has_had_a_request_goes_after_the_silent_ones() -> None:
    ground = Ground(per_address=3)
    ground.idle("idle 1")
    ground.idle("idle 2")

    for name in ("1", "2", "3"):
        ground.opened(name)
    assert ground.closed == ["1", "2"]

    ground.connections.begin(ground.opened("busy"))
    assert ground.closed == ["1", "2", "3"]
    ground.opened("4")
    assert ground.closed == ["1", "2", "3", "idle 1"]


def test_one_that_is_busy_is_never_closed() -> None:
    ground = Ground(connections=3, per_address=2)
    busy = [ground.opened(f"busy {number}", address) for number, address in enumerate("aab")]
    for connection in busy:
        assert ground.connections.begin(connection) is None

    # One too many waits all the same: it may ask for the health.
    ground.opened("1", "a")
    ground.opened("2", "b")

    assert ground.closed == ["1"]


def test_the_limit_of_all_holds_across_addresses() -> None:
    ground = Ground(connections=3)

    for number in range(5):
        ground.opened(str(number), f"address {number}")

    assert ground.closed == ["0", "1"]


def test_a_request_beyond_a_limit_has_no_place_until_another_ends() -> None:
    ground = Ground(requests=3, per_address=2)
    first, second, third = ground.opened("1"), ground.opened("2"), ground.opened("3")
    assert ground.connections.begin(first) is None
    assert ground.connections.begin(second) is None

    refused = ground.connections.begin(third)
    assert refused == "2 requests from your address are open"
    ground.connections.end(third)
    other = ground.opened("other", "b")
    assert ground.connections.begin(other) is None
    last = ground.opened("last", "c")
    assert ground.connections.begin(last) == "3 requests are open"
    ground.connections.end(last)

    ground.connections.end(first)
    assert ground.connections.begin(third) is None


def test_a_request_whose_body_does_not_come_makes_room() -> None:
    ground = Ground(per_address=3)
    for name in ("whole", "slow", "slower"):
        connection = ground.opened(name)
        assert ground.connections.begin(connection, has_body=True) is None
        if name == "whole":
            ground.connections.progress(connection, is_whole=True)
        if name == "slow":
            slow = connection
    ground.connections.progress(slow, is_whole=False)

    assert ground.connections.begin(ground.opened("1"), has_body=False) is None
    assert ground.closed == ["slower"]
    assert ground.connections.begin(ground.opened("2")) is None
    assert ground.closed == ["slower", "slow"]
    assert ground.connections.begin(ground.opened("3")) is not None


def test_what_is_removed_leaves_nothing() -> None:
    ground = Ground()
    connections = [ground.opened(str(number), f"address {number}") for number in range(3)]
    connections.append(ground.idle("idle", "address 0"))

    for connection in connections * 2:
        ground.connections.remove(connection)

    assert len(ground.connections) == 0
    assert ground.closed == []


@pytest.mark.parametrize(
    ("peer", "expected"),
    [
        (("1.2.3.4", 5), "1.2.3.4"),
        (("::ffff:1.2.3.4", 5, 0, 0), "1.2.3.4"),
        (("2001:db8:1:2:3:4:5:6", 5, 0, 0), "2001:db8:1:2::"),
        (("2001:db8:1:2::9", 5, 0, 0), "2001:db8:1:2::"),
        (("fe80::1%eth0", 5, 0, 2), "fe80::"),
        ("", ""),
        (b"", ""),
    ],
)
def test_a_client_is_an_ipv4_address_or_an_ipv6_network(peer: object, expected: str) -> None:
    assert address_of(peer) == expected
