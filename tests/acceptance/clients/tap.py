"""A relay in front of a server that remembers what went by: proof of bytes no client shows."""

import select
import socket
import threading
from socketserver import BaseRequestHandler, ThreadingTCPServer

PIECE_BYTES = 64 * 1024
# Foreman's keep-alive, each alone in a chunk of its own: for NDJSON and JSON, and for events.
KEEPALIVES = (b"\r\n1\r\n \r\n", b": queued\n\n")


class Tap(ThreadingTCPServer):
    """Listens on a port of its own while it is entered; `url` leads through it."""

    daemon_threads = True

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", 0), _Relay)
        self.upstream = ("127.0.0.1", port)
        self.received = bytearray()
        self.asked: list[bytearray] = []  # one for each connection
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02})

    def __enter__(self) -> "Tap":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()

    def keepalives(self) -> int:
        """How many keep-alives have passed."""
        return sum(self.received.count(each) for each in KEEPALIVES)


class _Relay(BaseRequestHandler):
    """One connection: bytes through in both directions until either side ends."""

    server: Tap
    request: socket.socket

    def handle(self) -> None:
        self._asked = bytearray()
        self.server.asked.append(self._asked)
        with socket.create_connection(self.server.upstream) as upstream:
            while True:
                readable, _, _ = select.select([self.request, upstream], [], [])
                for source in readable:
                    piece = source.recv(PIECE_BYTES)
                    if not piece:
                        return
                    self._pass_on(source, piece, upstream)

    def _pass_on(self, source: socket.socket, piece: bytes, upstream: socket.socket) -> None:
        if source is upstream:
            self.server.received.extend(piece)
            self.request.sendall(piece)
        else:
            self._asked.extend(piece)
            upstream.sendall(piece)
