"""One Ollama server over HTTP: bytes there, bytes back, and a way to hang up at any moment.

Nothing is added to, taken from or decoded in a body. What an error means: `target_errors`.
"""

import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import requests
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from urllib3 import HTTPConnectionPool, HTTPResponse, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError

from foreman.adapters.bounded import BoundedCall
from foreman.adapters.responses import StrictResponse
from foreman.adapters.target_errors import check_allowed, translated
from foreman.core.frames import Head, Headers
from foreman.core.lengths import with_one_length
from foreman.errors import TargetError
from foreman.parsing import TargetSpec

CONNECT_LIMIT_S = 5.0
READ_SIZE = 64 * 1024
PIECE_BYTES = 1024 * 1024
# Of an answer that foreman reads itself, unless it says so: some 6 000 models.
FETCH_LIMIT_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class TargetRequest:
    """What to ask a target: `body` is bytes, or pieces of a body that is not held in memory."""

    method: str
    path: str
    query: str = ""
    headers: Headers = field(default_factory=list)
    body: bytes | Iterable[bytes | memoryview] | None = field(default=None, repr=False)
    body_size: int | None = None  # of pieces: Content-Length, or None to send them chunked


def pieces_of(parts: list[bytes | memoryview]) -> Iterator[memoryview]:
    """A body to send, whose parts are taken from the list and freed as they go out."""
    while parts:
        part = memoryview(parts.pop(0))
        for at in range(0, len(part), PIECE_BYTES):
            yield part[at : at + PIECE_BYTES]


class TargetClient:
    """The way to one target; safe to use from many threads."""

    def __init__(
        self, spec: TargetSpec, *, silence_s: float, connections: int, ca_file: str | None = None
    ) -> None:
        self.spec = spec
        self.ca_file = ca_file  # of what its certificate is checked with; None: public CAs
        self._silence_s = silence_s
        self._adapter = _Adapter(pool_connections=1, pool_maxsize=connections)

    @property
    def name(self) -> str:
        return self.spec.name

    def call(self, *, silence_s: float | None = None) -> "Call":
        """A fresh exchange; nothing is sent yet."""
        return Call(self, self._adapter, silence_s or self._silence_s)

    def bounded_call(self, *, limit_s: float, limit_bytes: int) -> BoundedCall:
        """The same with limits for the whole of its answer."""
        call = self.call(silence_s=min(limit_s, self._silence_s))
        return BoundedCall(call, self.name, limit_s=limit_s, limit_bytes=limit_bytes)

    def fetch(self, request: TargetRequest, *, silence_s: float | None) -> tuple[Head, bytes]:
        """A whole exchange whose answer is small; None: as silent as any answer may be.

        The limit is for the exchange as a whole, too: an answer that drips is not waited for.
        """
        limit_s = silence_s or self._silence_s
        call = self.bounded_call(limit_s=limit_s, limit_bytes=FETCH_LIMIT_BYTES)
        try:
            return call.send(request), b"".join(call.chunks())
        finally:
            call.close()

    def close(self) -> None:
        self._adapter.close()


class Call:
    """One exchange with a target: `send`, then `chunks`, then `close`; `abort` from any thread."""

    def __init__(self, target: TargetClient, adapter: HTTPAdapter, silence_s: float) -> None:
        self._target = target
        self._adapter = adapter
        self._silence_s = silence_s
        self._limit_s = silence_s
        self._raw: HTTPResponse | None = None
        self._socket: socket.socket | None = None
        self.is_aborted = False

    def send(self, request: TargetRequest, *, first_byte_s: float | None = None) -> Head:
        """Send the request and wait for status and headers, at most `first_byte_s`.

        TargetUnreachable, or what is a case of it: the target does not take this request.
        """
        self._limit_s = first_byte_s or self._silence_s
        _current.call = self
        try:
            response = self._adapter.send(
                _prepared(self._target.spec, request),
                stream=True,
                verify=self._target.ca_file or True,
                timeout=(CONNECT_LIMIT_S, self._limit_s),
            )
        except (requests.RequestException, HTTPError, OSError) as exc:
            raise self._translate(exc) from exc
        finally:
            _current.call = None
        self._raw = response.raw
        if self._socket is not None and self._limit_s != self._silence_s:
            self._limit_s = self._silence_s
            self._socket.settimeout(self._silence_s)
        head = Head(response.raw.status, with_one_length(response.raw.headers.iteritems()))
        check_allowed(head, self._target.spec)
        return head

    def chunks(self) -> Iterator[bytes]:
        """The body's bytes as they arrive; TargetCut when it ends before it is whole."""
        raw = self._raw
        if raw is None:
            raise TargetError("nothing was sent yet")
        while True:
            try:
                chunk = raw.read1(READ_SIZE, decode_content=False)
            except (HTTPError, OSError) as exc:
                raise self._translate(exc) from exc
            if not chunk:
                break
            yield chunk
        self._socket = None  # from here on it may carry another call
        raw.release_conn()

    def abort(self) -> None:
        """Hang up, whatever another thread is waiting for: that is what makes Ollama stop."""
        self.is_aborted = True
        carrier = self._socket
        # With the last bytes the library lets go of the connection: it may carry another call.
        is_ours = self._raw is None or self._raw.connection is not None
        if carrier is not None and is_ours:
            with suppress(OSError):
                carrier.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let the connection go: kept for the next call when the answer was read to its end."""
        if self._raw is not None:
            self._raw.close()

    @property
    def limit_s(self) -> float:
        """How long the target may be silent now, or take none of our bytes."""
        return self._limit_s

    def carried_by(self, sock: socket.socket) -> None:
        """`sock` carries this call, from its first byte on."""
        self._socket = sock
        if self.is_aborted:
            self.abort()

    def _translate(self, exc: Exception) -> TargetError:
        return translated(
            exc,
            self._target.name,
            limit_s=self._limit_s,
            is_connected=self._socket is not None,
        )


def _prepared(spec: TargetSpec, request: TargetRequest) -> requests.PreparedRequest:
    """A request that goes out as it is: no header of the library's, no quoting of the path.

    Only here, and so for no other server, the target's credentials are added.
    """
    prepared = requests.PreparedRequest()
    prepared.method = request.method
    prepared.url = spec.url + request.path + ("?" + request.query if request.query else "")
    prepared.headers = CaseInsensitiveDict(request.headers)
    prepared.headers.setdefault("Accept-Encoding", "identity")
    prepared.headers.setdefault("User-Agent", "foreman")
    if spec.authorization is not None:
        prepared.headers["Authorization"] = spec.authorization
    prepared.body = request.body  # type: ignore[assignment]  # the stubs know no iterables here
    size = len(request.body) if isinstance(request.body, bytes) else request.body_size
    if size is not None:
        prepared.headers["Content-Length"] = str(size)
    return prepared


class _Current(threading.local):
    call: Call | None = None


_current = _Current()


class _NotesItsSocket(HTTPConnection):
    """Tells the running call which socket carries it, also when the connection is an old one."""

    response_class = StrictResponse

    def request(self, *args, **options):  # type: ignore[no-untyped-def]  # signature of the base
        if self.sock is None:
            self.connect()
        if _current.call is not None and self.sock is not None:
            _current.call.carried_by(self.sock)
            # The library's is still the one to connect, and bounds the body as a whole.
            self.timeout = _current.call.limit_s
        return super().request(*args, **options)


class _NotesItsTlsSocket(_NotesItsSocket, HTTPSConnection):
    pass


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _NotesItsSocket


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _NotesItsTlsSocket


class _Adapter(HTTPAdapter):
    """requests' own transport, with connections that can be hung up from outside."""

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **kw) -> None:  # type: ignore[no-untyped-def]  # signature of the base
        manager = PoolManager(num_pools=connections, maxsize=maxsize, block=block, **kw)
        manager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}
        self.poolmanager = manager
