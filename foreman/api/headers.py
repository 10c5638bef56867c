"""Headers that every answer has, whoever wrote it: what a browser and a cache may do with it."""

from flask import Flask, Response, request

from foreman.api.problems import is_own

# For any HTML. The one page that needs more than its text says so itself.
_PAGE = {
    "Content-Security-Policy": (
        "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
}
# The same for everybody, and no secret.
_CACHEABLE = frozenset({"/docs", "/openapi.json"})


def install(app: Flask) -> None:
    """After every request; what a handler has set itself stays."""
    app.after_request(_guard)


def _guard(response: Response) -> Response:
    response.headers["X-Content-Type-Options"] = "nosniff"
    if response.mimetype == "text/html":
        for name, value in _PAGE.items():
            response.headers.setdefault(name, value)
    # Prompts, answers, and who asked for them.
    if is_own(request.path) and request.path.rstrip("/") not in _CACHEABLE:
        response.headers.setdefault("Cache-Control", "no-store")
    return response
