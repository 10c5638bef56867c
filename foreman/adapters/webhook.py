"""One guarded POST to a receiver: what is dialled is an address that was checked a moment ago.

The name is resolved here, once an attempt; every address that it has is checked, and one of these
is connected to: a name cannot mean one address to the check and another to the connection. No
redirect is followed, no proxy of the environment is used, no connection is kept for later. One
deadline bounds all of it, whatever the receiver does.
"""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from http.client import SWITCHING_PROTOCOLS, HTTPException, HTTPResponse
from io import BufferedReader
from ipaddress import ip_address
from typing import Any

from foreman.adapters.deadline import Deadline, TimedSocket
from foreman.config import Settings
from foreman.core.receivers import Opening, Ports, Receiver, is_blocked, parse_receiver
from foreman.core.webhooks import EXCERPT_BYTES, AttemptError, Outcome
from foreman.refusals import WebhookRefused

CONNECT_LIMIT_S = 5.0
EXCHANGE_LIMIT_S = 15.0
READ_LIMIT_BYTES = 64 * 1024
# Of status lines and headers, those of interim responses (1xx) included.
HEAD_LIMIT_BYTES = 64 * 1024
# What a client may learn of an address that foreman does not call.
BLOCKED_TEXT = (
    "blocked address: webhooks go to private networks only where FOREMAN_WEBHOOK_ALLOW names them"
)

# Family and socket address of each address that a name has; the port is given.
Found = Sequence[tuple[socket.AddressFamily, tuple[Any, ...]]]
Resolve = Callable[[str, int], Found]


class _Failed(Exception):
    """The attempt came to no answer."""

    def __init__(self, error: AttemptError) -> None:
        super().__init__(error)
        self.error = error


def check_receiver_url(url: str, settings: Settings) -> Receiver:
    """For who names a receiver: WebhookRefused unless foreman may call a URL of this form.

    A name is not resolved: it may mean something else when it is called, and is checked then.
    """
    try:
        receiver = parse_receiver(url)
    except ValueError as exc:
        raise WebhookRefused(f"the URL of a webhook {exc}") from exc
    if not _is_port_open(receiver, settings.webhook_ports):
        raise WebhookRefused(f"webhooks do not go to port {receiver.port}")
    if receiver.address and is_blocked(receiver.address, receiver.port, settings.webhook_allow):
        raise WebhookRefused(BLOCKED_TEXT)
    return receiver


class WebhookClient:
    """Posts to receivers; safe to use from many threads."""

    def __init__(
        self,
        *,
        allow: Sequence[Opening],
        ports: Ports,
        exchange_s: float = EXCHANGE_LIMIT_S,
        connect_s: float = CONNECT_LIMIT_S,
        resolve: Resolve | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._allow = allow
        self._ports = ports
        self._exchange_s = exchange_s
        self._connect_s = connect_s
        self._resolve = resolve or _resolve
        self._tls = tls or ssl.create_default_context()

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Outcome:
        """Send `body` once, and say what came of it; no failure of the receiver's is raised."""
        deadline = Deadline(self._exchange_s)
        try:
            receiver = _parsed(url)
            with _translated(), self._connected(receiver, deadline) as wire:
                wire.sendall(_request(receiver, headers, body))
                return _answer(wire, deadline)
        except _Failed as failed:
            return Outcome(deadline.spent_ms, error=failed.error)

    @contextmanager
    def _connected(self, receiver: Receiver, deadline: Deadline) -> Iterator[TimedSocket]:
        found = self._addresses(receiver, deadline.left_s)
        raw = _dial(found, Deadline(min(self._connect_s, deadline.left_s)))
        try:
            raw = self._secured(raw, receiver, deadline)
            yield TimedSocket(raw, deadline)
        finally:
            raw.close()

    def _addresses(self, receiver: Receiver, limit_s: float) -> Found:
        """All addresses of the receiver; refused when one of them is not to be called."""
        if not _is_port_open(receiver, self._ports):
            raise _Failed(AttemptError.BLOCKED)
        try:
            found = _in_time(self._resolve, receiver, limit_s)
        except TimeoutError:
            raise
        except (OSError, UnicodeError) as exc:
            raise _Failed(AttemptError.DNS) from exc
        if not found:
            raise _Failed(AttemptError.DNS)
        for _, place in found:
            address = ip_address(str(place[0]).partition("%")[0])
            if is_blocked(address, receiver.port, self._allow):
                raise _Failed(AttemptError.BLOCKED)
        return found

    def _secured(self, raw: socket.socket, receiver: Receiver, deadline: Deadline) -> socket.socket:
        if receiver.scheme == "http":
            return raw
        raw.settimeout(deadline.left_s)
        try:
            return self._tls.wrap_socket(raw, server_hostname=receiver.host.rstrip("."))
        except ssl.SSLError as exc:
            raise _Failed(AttemptError.TLS) from exc


def _parsed(url: str) -> Receiver:
    try:
        return parse_receiver(url)
    except ValueError as exc:  # kept from a time when such a URL was taken
        raise _Failed(AttemptError.BLOCKED) from exc


def _is_port_open(receiver: Receiver, ports: Ports) -> bool:
    return any(receiver.port in each for each in ports)


def _resolve(host: str, port: int) -> Found:
    infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [(family, place) for family, _, _, _, place in infos]


def _in_time(resolve: Resolve, receiver: Receiver, limit_s: float) -> Found:
    """What the resolver finds; TimeoutError after `limit_s`.

    `getaddrinfo` takes no limit and may wait for dead name servers for minutes. A thread of its own
    is left to that, and ends when it does.
    """
    found: Future[Found] = Future()

    def ask() -> None:
        try:
            found.set_result(resolve(receiver.host, receiver.port))
        except Exception as exc:  # it is raised where it is waited for
            found.set_exception(exc)

    threading.Thread(target=ask, name="resolve", daemon=True).start()
    return found.result(limit_s)


def _dial(found: Found, limit: Deadline) -> socket.socket:
    """Connect to the first address that answers; each gets its share of the time."""
    last: OSError | None = None
    for tried, (family, place) in enumerate(found):
        raw = socket.socket(family, socket.SOCK_STREAM)
        raw.settimeout(limit.left_s / (len(found) - tried))
        try:
            raw.connect(place)
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return raw
        except OSError as exc:
            raw.close()
            last = exc
    if isinstance(last, TimeoutError):
        raise last
    raise _Failed(AttemptError.REFUSED) from last


@contextmanager
def _translated() -> Iterator[None]:
    """What goes wrong between connection and answer, in the words of the ledger."""
    try:
        yield
    except TimeoutError as exc:
        raise _Failed(AttemptError.TIMEOUT) from exc
    except OSError as exc:  # a reset, an early end (RemoteDisconnected), an end of TLS
        raise _Failed(AttemptError.RESET) from exc
    except HTTPException as exc:
        raise _Failed(AttemptError.HTTP) from exc


def _request(receiver: Receiver, headers: Mapping[str, str], body: bytes) -> bytes:
    own = {
        "Host": receiver.netloc,
        "User-Agent": "foreman",
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "Connection": "close",
    }
    lines = [f"{name}: {value}" for name, value in (own | dict(headers)).items()]
    head = "\r\n".join([f"POST {receiver.path} HTTP/1.1", *lines, "", ""])
    return head.encode("ascii") + body


def _answer(wire: TimedSocket, deadline: Deadline) -> Outcome:
    """Status and headers decide; of the body the beginning is kept, as far as it comes in time."""
    response = _final_response(_Head(wire))
    excerpt = _beginning(response)
    return Outcome(
        ms=deadline.spent_ms,
        status=response.status,
        error=None if 200 <= response.status < 300 else AttemptError.HTTP,
        excerpt=excerpt,
        retry_after=response.headers.get("Retry-After"),
    )


class _Head(BufferedReader):
    """What responses are read from, one after the other; their heads are limited together."""

    _left_bytes = HEAD_LIMIT_BYTES

    def makefile(self, mode: str) -> "_Head":
        """What http.client reads a response from: it reads a head line by line."""
        return self

    def readline(self, size: int | None = -1, /) -> bytes:
        line = super().readline(size)
        self._left_bytes -= len(line)
        if self._left_bytes < 0:
            raise HTTPException("the head of the answer is too long")
        return line

    def close(self) -> None:
        """Stay open: each response closes it, and another one may follow."""


def _final_response(head: _Head) -> HTTPResponse:
    """Read over interim responses (1xx); 101 is final, since no other protocol was asked for."""
    while True:
        response = HTTPResponse(head, method="POST")  # type: ignore[arg-type]  # all it asks for is makefile
        response.begin()
        if response.status >= 200 or response.status == SWITCHING_PROTOCOLS:
            return response


def _beginning(response: HTTPResponse) -> bytes:
    """Read on to READ_LIMIT_BYTES, so that a receiver that says a little more sees no reset."""
    kept, count = b"", 0
    try:
        while count < READ_LIMIT_BYTES and (piece := response.read1(READ_LIMIT_BYTES - count)):
            count += len(piece)
            kept = (kept + piece)[:EXCERPT_BYTES]
    except (OSError, HTTPException):  # the status was told; this is for people to read
        pass
    return kept
