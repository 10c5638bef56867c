"""A target whose lists are meant to keep their reader busy: a real small HTTP server."""

import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType

PIECE_BYTES = 64 * 1024


def brackets(size_bytes: int, *, models: bytes = b"") -> bytes:
    """A list with these models, and as many empty arrays next to it as the size allows."""
    filler = b"[" + b"[]," * (size_bytes // 3) + b"[]]"
    return b'{"models":[%b],"data":[],"x":%b}' % (models, filler)


class HostileLists:
    """Serves between `with` and its end; `lists` has a body by path, None for one without end.

    All else gets `{}`.
    """

    def __init__(self, lists: dict[str, bytes | None]) -> None:
        self.lists = lists
        self.drips_every_s = 0.0  # an endless answer: as fast as it is taken
        self.sent_bytes = 0  # of endless answers
        self._is_over = threading.Event()
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                """Silence."""

            def do_GET(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                with suppress(OSError):
                    fake.serve(self)

            do_POST = do_GET

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> "HostileLists":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_over.set()
        self._server.shutdown()
        self._server.server_close()

    def serve(self, handler: BaseHTTPRequestHandler) -> None:
        body = self.lists.get(handler.path, b"{}")
        handler.send_response_only(200)
        handler.send_header("Content-Type", "application/json")
        if body is not None:
            handler.send_header("Content-Length", str(len(body)))
            handler.end_headers()
            handler.wfile.write(body)
            return
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for piece in self._endless():
            handler.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            self.sent_bytes += len(piece)

    def _endless(self) -> Iterator[bytes]:
        while not self._is_over.wait(self.drips_every_s):
            yield b" " if self.drips_every_s else b" " * PIECE_BYTES
