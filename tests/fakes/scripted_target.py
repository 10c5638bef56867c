"""A target that is no Ollama: a real small HTTP server that answers as a test says."""

import json
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

JSON = [("Content-Type", "application/json")]
DONE = json.dumps({"model": "m", "message": {"content": "hi"}, "done": True}).encode()


@dataclass(frozen=True)
class Asked:
    """One request as it came."""

    method: str
    path: str  # with its query
    headers: dict[str, str]  # names in lower case
    body: bytes


class Reply:
    """A whole answer: status, headers, body. The length is the body's unless a header says it."""

    def __init__(
        self, status: int = 200, body: bytes = DONE, headers: list[tuple[str, str]] | None = None
    ) -> None:
        self.status, self.body = status, body
        self.headers = JSON if headers is None else headers


Script = Callable[[Asked], Reply]


class ScriptedTarget:
    """Serves between `with` and its end; answers lists, loads and what `script` is asked.

    `asked` has only what the script was asked: foreman's own looks and loads come at any time.
    """

    def __init__(
        self,
        script: Script,
        *,
        models: list[dict[str, Any]] | None = None,
        loaded: list[dict[str, Any]] | None = None,
    ) -> None:
        self.asked: list[Asked] = []
        self._script = script
        self._models = models or [{"name": "m:latest", "capabilities": ["completion"]}]
        self._loaded = loaded or []
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                """Silence."""

            def do_GET(self) -> None:
                fake.serve(self)

            do_POST = do_HEAD = do_DELETE = do_GET

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> "ScriptedTarget":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def asked_for(self, path: str) -> list[Asked]:
        """The requests for a path, whatever their query."""
        return [each for each in self.asked if each.path.partition("?")[0] == path]

    def serve(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in handler.headers.items()}
        # The handler's own `path` has its first slashes joined.
        path = handler.requestline.split()[1]
        asked = Asked(handler.command, path, headers, body)
        reply = self._own(asked)
        if reply is None:
            self.asked.append(asked)
            reply = self._script(asked)
        names = {name.lower() for name, _ in reply.headers}
        with suppress(OSError):
            handler.send_response_only(reply.status)
            for name, value in reply.headers:
                handler.send_header(name, value)
            if "content-length" not in names:
                handler.send_header("Content-Length", str(len(reply.body)))
            handler.end_headers()
            if handler.command != "HEAD":
                handler.wfile.write(reply.body)
            # A length that cannot be read ends with the connection.
            handler.close_connection = "content-length" in names

    def _own(self, asked: Asked) -> Reply | None:
        if asked.path == "/api/tags" and asked.headers.get("user-agent") == "foreman":
            return Reply(body=json.dumps({"models": self._models}).encode())
        if asked.path == "/api/ps" and asked.headers.get("user-agent") == "foreman":
            return Reply(body=json.dumps({"models": self._loaded}).encode())
        return Reply() if _is_load(asked) else None


def _is_load(asked: Asked) -> bool:
    """A request of foreman's own, that loads a model or lets it go."""
    is_own = asked.headers.get("user-agent") == "foreman" and b'"input"' not in asked.body
    return is_own and asked.path in ("/api/generate", "/api/embed")
