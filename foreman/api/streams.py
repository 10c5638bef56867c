"""Headers of answers that come in pieces: a proxy has to pass each one on at once, as it is."""

from flask import Flask, Response

from foreman.core import headers as header_rules
from foreman.core.replies import CONTENT_TYPES, Framing

_STREAMS = {CONTENT_TYPES[Framing.LINES], CONTENT_TYPES[Framing.EVENTS]}


def install(app: Flask) -> None:
    """After every request."""
    app.after_request(_mark)


def _mark(response: Response) -> Response:
    if response.is_streamed and _has_pieces(response):
        # nginx gathers an answer without this; compressing proxies and middleware do without that.
        response.headers["X-Accel-Buffering"] = "no"
        response.headers["Cache-Control"] = _with_no_transform(
            response.headers.get("Cache-Control", "")
        )
    return response


def _has_pieces(response: Response) -> bool:
    """Whether a stream follows, or a whole answer that keep-alives may precede: a queued one."""
    is_queued = header_rules.JOB_ID in response.headers
    has_length = "Content-Length" in response.headers
    return response.mimetype in _STREAMS or (is_queued and not has_length)


def _with_no_transform(cache_control: str) -> str:
    directives = [each.strip() for each in cache_control.split(",") if each.strip()]
    if "no-transform" not in (each.lower() for each in directives):
        directives.append("no-transform")
    return ", ".join(directives)
