"""The path of a request as its client spelled it, and the answer to a spelling that is not clean.

Clients whose base URL ends in a slash ask for `//api/chat` all day. As with Ollama they are sent
to the clean path before anything else happens, on foreman's own routes, too.
"""

from html import escape
from http import HTTPStatus
from urllib.parse import quote

from flask import Flask, Response, request

from foreman.api.respond import plain_response
from foreman.core.paths import in_ascii, is_readable
from foreman.core.surface import Elsewhere, cleaner_path
from foreman.errors import RequestRefused


def install(app: Flask) -> None:
    """Before every request: refuse a path that is none, redirect one that is not clean."""

    def check() -> Response | None:
        path = raw_path()
        if not is_readable(path):
            raise RequestRefused("the path of the request is not valid")
        elsewhere = cleaner_path(path)
        return None if elsewhere is None else redirect_response(elsewhere)

    app.before_request(check)


def raw_path() -> str:
    """The path before it was decoded, without the query; `front` leaves no host in front of it."""
    raw = request.environ.get("RAW_URI")
    if raw is None:  # a server that does not pass it on
        return quote(request.environ["PATH_INFO"], encoding="latin-1")
    return str(raw).split("?", 1)[0]


def redirect_response(elsewhere: Elsewhere) -> Response:
    """Go's answer: the query is kept, and only a GET has a body."""
    query = request.environ.get("QUERY_STRING", "")
    location = elsewhere.path + ("?" + in_ascii(query) if query else "")
    text = f'<a href="{escape(location)}">{HTTPStatus(elsewhere.status).phrase}</a>.\n\n'
    body = text if request.method == "GET" else ""
    response = plain_response(elsewhere.status, body, [("Location", location)])
    if request.method in ("GET", "HEAD"):
        response.headers["Content-Type"] = "text/html; charset=utf-8"
    else:
        del response.headers["Content-Type"]
    return response
