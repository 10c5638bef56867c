"""Browsers: foreman answers for CORS itself, by Ollama's rules, and targets never see an Origin.

1. No Origin, or an empty one: no page asks across origins. The request passes.
2. The Origin is the Host's own, by http or https, and the Host vouches for it (`hosts`): it passes.
3. The Origin is one of this machine's, a desktop app's or FOREMAN_ORIGINS': it passes, and the page
   may read the answer; an OPTIONS is a preflight.
4. Any other, `null` included: 403 whatever it asks, as from Ollama.

Ollama compares as it is written, and so does this: browsers write an Origin in lower case.
A browser says what it knows in Sec-Fetch-Site. Where that is `cross-site`, 1 and 2 are not enough
for a request that changes something: some browsers send no Origin with a form. Reading stays
allowed, or no link could lead to `/docs`: without rule 3 the page does not see the answer.
"""

import re
from collections.abc import Sequence

from flask import Flask, Response, request

from foreman.api.hosts import NAME_LIMIT, HostNames
from foreman.core import headers as header_rules
from foreman.refusals import OriginRefused

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
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_MAX_AGE_S = 12 * 3600


def install(app: Flask, origins: Sequence[str], names: HostNames) -> None:
    """Check the Origin before every request and allow it after."""
    pattern = re.compile("|".join(_pattern(origin) for origin in (*_ALWAYS, *origins)))

    def is_allowed(origin: str) -> bool:
        return 0 < len(origin) <= NAME_LIMIT and pattern.fullmatch(origin) is not None

    def check() -> Response | None:
        origin = request.headers.get("Origin", "")
        if is_allowed(origin):
            return _preflight() if request.method == "OPTIONS" else None
        if origin and not _is_own(origin, names):
            raise OriginRefused
        if _is_cross_site() and request.method not in _READING:
            raise OriginRefused
        return None

    def allow(response: Response) -> Response:
        origin = request.headers.get("Origin", "")
        if is_allowed(origin):
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Access-Control-Expose-Headers"] = ", ".join(_EXPOSED)
            response.headers.add("Vary", "Origin")
        return response

    app.before_request(check)
    app.after_request(allow)


def _is_own(origin: str, names: HostNames) -> bool:
    host = request.headers.get("Host", "")
    return origin in (f"http://{host}", f"https://{host}") and names.vouches_for(host)


def _is_cross_site() -> bool:
    return request.headers.get("Sec-Fetch-Site", "").lower() == "cross-site"


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
