"""Which connections are open, and which one is closed when there are too many.

A connection waits or it is busy with a request. One that waits may be closed at any time: first the
oldest that has sent no request yet, then the one that has been idle for the longest. One that is
busy is never closed; when all of them are, further requests are refused.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address

_IPV6_HOST_BITS = 64


@dataclass(eq=False, slots=True)
class Connection:
    """One open connection; `close` makes whoever reads from it see its end."""

    address: str
    close: Callable[[], None]
    is_evicted: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """How many of each one process may have."""

    connections: int
    requests: int
    per_address: int


@dataclass(slots=True)
class _Waiting:
    silent: OrderedDict[Connection, None] = field(default_factory=OrderedDict)
    idle: OrderedDict[Connection, None] = field(default_factory=OrderedDict)

    def discard(self, connection: Connection) -> bool:
        was_silent = self.silent.pop(connection, connection) is None
        return self.idle.pop(connection, connection) is None or was_silent

    def oldest(self, *, besides: Connection) -> Connection | None:
        """The first one to close; `besides` is the newest of the silent ones."""
        silent = next(iter(self.silent), besides)
        return silent if silent is not besides else next(iter(self.idle), None)


@dataclass(slots=True)
class _Group:
    """The connections of one address, or all."""

    waiting: _Waiting = field(default_factory=_Waiting)
    busy: int = 0

    @property
    def size(self) -> int:
        return len(self.waiting.silent) + len(self.waiting.idle) + self.busy


class Connections:
    """The open connections of one process."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._all = _Group()
        self._by_address: dict[str, _Group] = {}

    def add(self, connection: Connection) -> None:
        """A connection was opened; an older one is closed when it is one too many."""
        of_address = self._by_address.setdefault(connection.address, _Group())
        for group in (self._all, of_address):
            group.waiting.silent[connection] = None
        for group, limit in (
            (of_address, self._limits.per_address),
            (self._all, self._limits.connections),
        ):
            oldest = group.waiting.oldest(besides=connection) if group.size > limit else None
            if oldest is not None:
                self.remove(oldest)
                oldest.is_evicted = True
                oldest.close()

    def begin(self, connection: Connection) -> str | None:
        """A request has arrived; returns why there is no place for it, if so."""
        of_address = self._by_address[connection.address]
        for group in (self._all, of_address):
            group.waiting.discard(connection)
            group.busy += 1
        if self._all.busy > self._limits.requests:
            return f"{self._limits.requests} requests are open"
        if of_address.busy > self._limits.per_address:
            return f"{self._limits.per_address} requests from your address are open"
        return None

    def end(self, connection: Connection) -> None:
        """The request is answered; the connection waits for another one."""
        for group in (self._all, self._by_address[connection.address]):
            group.busy -= 1
            group.waiting.idle[connection] = None

    def remove(self, connection: Connection) -> None:
        """A connection that waited was closed; again does nothing."""
        of_address = self._by_address.get(connection.address, _Group())
        for group in (self._all, of_address):
            group.waiting.discard(connection)
        if not of_address.size:
            self._by_address.pop(connection.address, None)

    def __len__(self) -> int:
        return self._all.size


def address_of(peer: object) -> str:
    """Whose connection it is: an IPv4 address, a network of IPv6; "" for a UNIX socket."""
    host = str(peer[0]) if isinstance(peer, tuple) else ""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    # One host chooses among all addresses of its network.
    return str(IPv6Address(int(address) >> _IPV6_HOST_BITS << _IPV6_HOST_BITS))
