"""Install foreman's own routes from the contract, so that they win over Ollama's catch-all."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

from flask import Flask, Response, request
from werkzeug.exceptions import MethodNotAllowed, NotFound

from foreman.api.contract import OPERATIONS
from foreman.api.contract_parts import Operation
from foreman.api.payloads import NoQuery
from foreman.api.reading import read_query

Handler = Callable[..., Response]

# Every method that a path must answer itself; else Ollama's surface would.
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
_PREFIXES = ("/jobs", "/deliveries", "/queues", "/swaps")


def install(app: Flask, handlers: Mapping[str, Handler]) -> None:
    """A rule for each path; a handler for each operation, by its name."""
    by_path: dict[str, dict[str, tuple[Operation, Handler]]] = defaultdict(dict)
    for operation in OPERATIONS:
        by_path[operation.path][operation.method] = (operation, handlers[operation.name])
    for path, by_method in by_path.items():
        rule = path.replace("{", "<").replace("}", ">")
        _add(app, rule, _dispatcher(by_method))
    for prefix in _PREFIXES:
        _add(app, f"{prefix}/<path:rest>", _nothing)


def _add(app: Flask, rule: str, view: Callable[..., Response]) -> None:
    app.add_url_rule(rule, f"own {rule}", view, methods=METHODS, provide_automatic_options=False)


def _dispatcher(by_method: Mapping[str, tuple[Operation, Handler]]) -> Handler:
    allowed = [*by_method, *(["HEAD"] if "GET" in by_method else [])]

    def dispatch(**parts: Any) -> Response:
        method = "GET" if request.method == "HEAD" else request.method
        if method not in by_method:
            raise MethodNotAllowed(allowed)
        operation, handle = by_method[method]
        if operation.query is NoQuery:
            read_query(NoQuery)
        return handle(**parts)

    return dispatch


def _nothing(rest: str) -> Response:
    raise NotFound
