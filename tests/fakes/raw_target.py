"""A target whose generations are written by the test, byte for byte.

Everything else (lists, loads) is answered by a simulated Ollama behind it.
"""

import http.client
import socket
import socketserver
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from urllib.parse import urlsplit

LIMIT_S = 60.0
# Loads go to /api/generate: those stay the simulation's.
GENERATIONS = ("/api/chat", "/v1/chat/completions", "/v1/messages", "/v1/completions")

# Called with the connection and the body of the request; the connection is closed after it.
Script = Callable[[socket.socket, bytes], None]


def sends(content: bytes) -> Script:
    """These bytes, and then the end of the connection."""

    def script(connection: socket.socket, _: bytes) -> None:
        connection.sendall(content)

    return script


def chunked(*pieces: bytes) -> bytes:
    """The pieces as chunks, and the last chunk."""
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (*pieces, b""))


def head(status: str, *lines: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""]).encode()


class RawTarget:
    """Started on `with`; `script` says what the next generations get."""

    def __init__(self, simulation_url: str) -> None:
        self._behind = urlsplit(simulation_url).netloc
        self.script: Script = sends(head("500 Not Scripted", "Content-Length: 0"))
        self.generations = 0
        target = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                with suppress(OSError, http.client.HTTPException):
                    while target._serve(self.rfile, self.connection):
                        pass

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True
            block_on_close = False

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> "RawTarget":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _serve(self, reader, connection: socket.socket) -> bool:  # type: ignore[no-untyped-def]  # a BufferedIOBase, as socketserver makes it
        """Answer one request; False when the connection is at its end."""
        line = reader.readline()
        if not line:
            return False
        method, path, _ = line.decode().split(" ", 2)
        headers = http.client.parse_headers(reader)
        body = reader.read(int(headers.get("Content-Length", 0)))
        if path.partition("?")[0] in GENERATIONS:
            self.generations += 1
            connection.settimeout(LIMIT_S)
            self.script(connection, body)
            return False
        behind = http.client.HTTPConnection(self._behind, timeout=LIMIT_S)
        behind.request(method, path, body, {"Content-Type": "application/json"})
        answer = behind.getresponse()
        content = answer.read()
        kind = f"Content-Type: {answer.headers['Content-Type']}"
        length = f"Content-Length: {len(content)}"
        connection.sendall(head(f"{answer.status} OK", kind, length) + content)
        behind.close()
        return True
