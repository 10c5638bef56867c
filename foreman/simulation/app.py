"""The route table of the simulated server, and gin's answers to what is not in it."""

import re
from collections.abc import Callable
from functools import partial

from foreman.simulation import admin, listing, native
from foreman.simulation.connection import Exchange
from foreman.simulation.control import PREFIX, Control
from foreman.simulation.decode import Refused
from foreman.simulation.dialects import READERS, error_form, work
from foreman.simulation.engine import Engine

Route = Callable[[Engine, Exchange], None]
Methods = dict[str, Route]

ROUTES: dict[str, Methods] = {
    "/": {"HEAD": listing.alive, "GET": listing.alive},
    "/api/version": {"HEAD": listing.version, "GET": listing.version},
    "/api/status": {"GET": listing.status},
    "/api/tags": {"GET": listing.tags, "HEAD": listing.tags},
    "/api/ps": {"GET": listing.running},
    "/api/show": {"POST": listing.show},
    "/api/pull": {"POST": admin.pull},
    "/api/push": {"POST": admin.push},
    "/api/create": {"POST": admin.create},
    "/api/copy": {"POST": admin.copy},
    "/api/delete": {"DELETE": admin.delete},
    "/v1/models": {"GET": listing.v1_models},
    **{path: {"POST": work} for path in READERS},
}
_LOCAL_HOST = re.compile(r"localhost|.*\.(localhost|local|internal)|[\d.]+|\[[\da-f:]+\]")
_LOCAL_ORIGIN = re.compile(
    r"https?://(localhost|127\.0\.0\.1|0\.0\.0\.0)(:\d+)?|(app|file|tauri|vscode-\w+)://.*"
)


class App:
    """Every route: path, method, what it does."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.control = Control(engine)
        self._blobs = admin.Blobs()

    def __call__(self, exchange: Exchange) -> None:
        if exchange.path.startswith(PREFIX):
            form, route = native.error_body, self.control.handle
        else:
            form, route = error_form(exchange.path), self._serve
        try:
            route(exchange)
        except Refused as refused:
            body, content_type = form(refused, while_reading=False)
            exchange.reply(refused.status, body, content_type)

    def _serve(self, exchange: Exchange) -> None:
        if not _is_local(exchange):
            return exchange.reply(403)
        if exchange.method == "OPTIONS" and exchange.header("Origin"):
            return exchange.reply(204)
        methods = self._find(exchange.path)
        if methods is None:
            return self._nowhere(exchange)
        route = methods.get(exchange.method)
        if route is None:
            allow = {"Allow": ", ".join(methods)}
            return exchange.reply(405, b"405 method not allowed", "text/plain", allow)
        self._strike(exchange)
        route(self._engine, exchange)

    def _strike(self, exchange: Exchange) -> None:
        """Faults that were set for this very path, on routes that generate nothing."""
        fault = self._engine.faults.take(exchange.path) if exchange.path not in READERS else None
        if fault is not None:
            with self._engine.recorded(exchange, "", event="fault") as note:
                self._engine.strike_before(fault, exchange, note)
                fault.hold()

    def _find(self, path: str) -> Methods | None:
        if path in ROUTES:
            return ROUTES[path]
        head, _, segment = path.rpartition("/")
        if not segment:
            return None
        if head == "/v1/models":
            return {"GET": partial(listing.v1_model, wanted=segment)}
        if head == "/api/blobs":
            return {
                "POST": partial(self._blobs.upload, digest=segment),
                "HEAD": partial(self._blobs.head, digest=segment),
            }
        return None

    def _nowhere(self, exchange: Exchange) -> None:
        path = exchange.path
        slashes = re.sub(r"/{2,}", "/", path)
        target = slashes if slashes != path else path.rstrip("/")
        if target == path or self._find(target) is None:
            return exchange.reply(404, b"404 page not found", "text/plain")
        # net/http's mux mends slashes with 307; gin's router drops a last one with 301, if it can.
        moved = exchange.method == "GET" and slashes == path
        status, words = (301, "Moved Permanently") if moved else (307, "Temporary Redirect")
        body = f'<a href="{target}">{words}</a>.\n\n'.encode() if exchange.method == "GET" else b""
        kind = "text/html; charset=utf-8" if body else ""
        exchange.reply(status, body, kind, {"Location": target})


def _is_local(exchange: Exchange) -> bool:
    """A server on loopback answers local hosts and origins only: the front must set `Host`."""
    host = (exchange.header("Host") or "localhost").lower()
    host = re.sub(r":\d+$", "", host)
    origin = exchange.header("Origin")
    is_own = origin is None or _LOCAL_ORIGIN.fullmatch(origin) is not None
    return is_own and _LOCAL_HOST.fullmatch(host) is not None
