"""What the HTTP server in front hands on: requests that it could not read, or that are for itself.

The first ones are answered by their error, so that it takes the form of their route.
"""

from flask import Flask, Response, request


def install(app: Flask) -> None:
    """Before everything else that looks at a request."""
    app.before_request(_refuse)
    app.before_request(_answer_for_the_server)


def _refuse() -> None:
    refusal = getattr(request.environ["wsgi.input"], "refusal", None)
    if isinstance(refusal, Exception):
        raise refusal


def _answer_for_the_server() -> Response | None:
    """`OPTIONS *` asks whether the server is there, as Go's answers for Ollama."""
    if request.method == "OPTIONS" and request.environ.get("RAW_URI") == "*":
        response = Response(b"", 200)
        del response.headers["Content-Type"]
        return response
    return None
