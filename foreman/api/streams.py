"""Headers of answers that come in pieces: a proxy has to pass each one on at once, as it is."""

from flask import Flask, Response


def install(app: Flask) -> None:
    """After every request whose answer has no length yet."""
    app.after_request(_mark)


def _mark(response: Response) -> Response:
    if response.is_streamed and "Content-Length" not in response.headers:
        # nginx gathers an answer without this; compressing proxies and middleware do without that.
        response.headers["X-Accel-Buffering"] = "no"
        response.headers["Cache-Control"] = _with_no_transform(
            response.headers.get("Cache-Control", "")
        )
    return response


def _with_no_transform(cache_control: str) -> str:
    directives = [each.strip() for each in cache_control.split(",") if each.strip()]
    if "no-transform" not in (each.lower() for each in directives):
        directives.append("no-transform")
    return ", ".join(directives)
