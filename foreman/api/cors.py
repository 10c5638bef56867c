"""Browsers: foreman answers for CORS itself, by Ollama's rules, and targets never see an Origin.

Pages from the machine itself and from desktop apps are allowed, others by FOREMAN_ORIGINS; an
Origin that is not allowed gets 403 whatever it asks, as from Ollama.
"""

import re
from collections.abc import Sequence

from flask import Flask, Response, request

from foreman.core import headers as header_rules
from foreman.errors import OriginRefused

_ALWAYS = (
    "http://localhost",
    "https://localhost",
    "http://localhost:*",
    "https://localhost:*",
    "http://127.0.0.1",
    "https://127.0.0.1",
    "http://127.0.0.1:*",
    "https://127.0.0.1:*",
    "http://0.0.0.0",
    "https://0.0.0.0",
    "http://0.0.0.0:*",
    "https://0.0.0.0:*",
    "app://*",
    "file://*",
    "tauri://*",
    "vscode-webview://*",
    "vscode-file://*",
)
_METHODS = "GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS"
_EXPOSED = (
    header_rules.JOB_ID,
    header_rules.CHANGED,
    "Location",
    "ETag",
    "Idempotent-Replayed",
    "Preference-Applied",
)
_MAX_AGE_S = 12 * 3600


def install(app: Flask, origins: Sequence[str]) -> None:
    """Check the Origin before every request and allow it after."""
    allowed = re.compile("|".join(_pattern(origin) for origin in (*_ALWAYS, *origins)))

    def check() -> Response | None:
        origin = request.headers.get("Origin")
        if origin is None or origin == request.host_url.rstrip("/"):
            return None
        if not allowed.fullmatch(origin):
            raise OriginRefused
        if request.method == "OPTIONS":
            return _preflight()
        return None

    def allow(response: Response) -> Response:
        origin = request.headers.get("Origin")
        if origin is not None and allowed.fullmatch(origin):
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Access-Control-Expose-Headers"] = ", ".join(_EXPOSED)
            response.headers.add("Vary", "Origin")
        return response

    app.before_request(check)
    app.after_request(allow)


def _preflight() -> Response:
    response = Response(status=204)
    wanted = request.headers.get("Access-Control-Request-Headers", "")
    response.headers["Access-Control-Allow-Methods"] = _METHODS
    if wanted:
        response.headers["Access-Control-Allow-Headers"] = wanted
    response.headers["Access-Control-Max-Age"] = str(_MAX_AGE_S)
    return response


def _pattern(origin: str) -> str:
    return ".*".join(re.escape(part) for part in origin.split("*"))
