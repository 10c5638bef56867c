"""Which connections are open, and which one is closed when there are too many.

A connection waits or it is busy with a request. One that waits may be closed at any time: first the
oldest that has sent no request yet, then the one that has been idle for the longest. Of those that
are busy, only one whose body is still arriving may be: the one that has sent nothing of it for the
longest makes room for a further request. When there is none, that request is refused.
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

    def oldest(self, *, newest: Connection) -> Connection | None:
        """The first one to close; `newest` is the last of the silent ones, and stays open."""
        silent = next(iter(self.silent), newest)
        return silent if silent is not newest else next(iter(self.idle), None)


@dataclass(slots=True)
class _Group:
    """The connections of one address, or all."""

    waiting: _Waiting = field(default_factory=_Waiting)
    busy: int = 0
    # Of the busy ones; who has sent nothing for the longest comes first.
    receiving: OrderedDict[Connection, None] = field(default_factory=OrderedDict)

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
            oldest = group.waiting.oldest(newest=connection) if group.size > limit else None
            if oldest is not None:
                self.remove(oldest)
                _evict(oldest)

    def begin(self, connection: Connection, *, has_body: bool = False) -> str | None:
        """The head of a request has arrived; returns why there is no place for it, if so."""
        of_address = self._by_address[connection.address]
        for group in (self._all, of_address):
            group.waiting.discard(connection)
            group.busy += 1
        reason = None
        if self._is_full(of_address, self._limits.per_address):
            reason = f"{self._limits.per_address} requests from your address are open"
        elif self._is_full(self._all, self._limits.requests):
            reason = f"{self._limits.requests} requests are open"
        if has_body and reason is None:
            for group in (self._all, of_address):
                group.receiving[connection] = None
        return reason

    def progress(self, connection: Connection, *, is_whole: bool) -> None:
        """A piece of the body has arrived, or all of it."""
        for group in (self._all, self._by_address.get(connection.address, _Group())):
            if is_whole:
                group.receiving.pop(connection, None)
            elif connection in group.receiving:
                group.receiving.move_to_end(connection)

    def end(self, connection: Connection) -> None:
        """The request is answered; the connection waits for another one."""
        for group in (self._all, self._by_address[connection.address]):
            group.receiving.pop(connection, None)
            group.busy -= 1
            group.waiting.idle[connection] = None

    def remove(self, connection: Connection) -> None:
        """A connection that waited was closed; again does nothing."""
        of_address = self._by_address.get(connection.address, _Group())
        for group in (self._all, of_address):
            group.waiting.discard(connection)
        if not of_address.size:
            self._by_address.pop(connection.address, None)

    def _is_full(self, group: _Group, limit: int) -> bool:
        """Whether there is one too many, and none whose body is missing could be closed."""
        if group.busy <= limit:
            return False
        slowest = next(iter(group.receiving), None)
        if slowest is None:
            return True
        self.progress(slowest, is_whole=True)
        _evict(slowest)
        return False

    def __len__(self) -> int:
        return self._all.size


def _evict(connection: Connection) -> None:
    connection.is_evicted = True
    connection.close()


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
