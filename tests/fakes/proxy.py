"""A TCP proxy that misbehaves: it cuts its connections, accepts none, or passes nothing on.

`freeze` is a network that holds everything back; `silence` one that has forgotten the connections
that are open (NAT, a failover): what they carry is acknowledged and lost, and new ones work.
"""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

PIECE_BYTES = 64 * 1024


class Proxy:
    """In front of one server, at a port of this machine or a unix socket.

    Every connection has two threads, which end with it.
    """

    def __init__(self, to: int | str) -> None:
        self._to = to
        self._passes = threading.Event()
        self._passes.set()
        self._is_open = True
        self._is_closed = False
        self._lock = threading.Lock()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._silent: set[socket.socket] = set()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def connections(self) -> int:
        with self._lock:
            return len(self._pairs)

    def cut(self) -> None:
        """Close all connections, as a broken network would in the end."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            for end in pair:
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
                end.close()

    def refuse(self, is_refusing: bool) -> None:
        """Cut every new connection at once, or pass it on again."""
        self._is_open = not is_refusing
        if is_refusing:
            self.cut()

    def freeze(self, is_frozen: bool) -> None:
        """Hold back all bytes, or let them go on."""
        if is_frozen:
            self._passes.clear()
        else:
            self._passes.set()

    def silence(self) -> None:
        """Lose all that the connections carry that are open now, and let neither end know."""
        with self._lock:
            self._silent.update(end for pair in self._pairs for end in pair)

    def close(self) -> None:
        self._is_closed = True
        self._server.close()
        self._passes.set()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._server.accept()
            except OSError:
                return
            if not self._is_open:
                near.close()
                continue
            try:
                far = self._connect()
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            with self._lock:
                self._pairs.append((near, far))
            if self._is_closed:  # by now, and `close` may not have seen this one
                self.cut()
                return
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._copy, args=(source, sink), daemon=True).start()

    def _connect(self) -> socket.socket:
        if isinstance(self._to, int):
            return socket.create_connection(("127.0.0.1", self._to), timeout=5)
        far = socket.socket(socket.AF_UNIX)
        far.settimeout(5)
        far.connect(self._to)
        return far

    def _copy(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while piece := source.recv(PIECE_BYTES):
                self._passes.wait()
                if source not in self._silent:
                    sink.sendall(piece)
        if source in self._silent:
            return  # not even its end comes through
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@contextmanager
def proxy_before(to: int | str) -> Iterator[Proxy]:
    """A proxy in front of a server of this machine, at a port or a unix socket."""
    proxy = Proxy(to)
    try:
        yield proxy
    finally:
        proxy.close()
