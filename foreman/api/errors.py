"""Errors of foreman's own as HTTP answers, in the form of the caller's protocol."""

import logging

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from foreman.core.frames import Failure
from foreman.core.replies import error_body
from foreman.core.surface import dialect_of
from foreman.errors import ForemanError
from foreman.ids import new_id
from foreman.services.follow import failure_of

log = logging.getLogger(__name__)

JSON = "application/json; charset=utf-8"


def install(app: Flask) -> None:
    """Answer every error in the caller's form; none may show a stack."""
    app.register_error_handler(ForemanError, _known)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(Exception, _defect)


def error_response(failure: Failure, *, retry_after_s: int | None = None) -> Response:
    """An error as the path's dialect writes it."""
    body = error_body(dialect_of(request.path), failure, request_id=f"req_{new_id().hex}")
    response = Response(body, failure.status, content_type=JSON)
    if retry_after_s is not None:
        response.headers["Retry-After"] = str(retry_after_s)
    return response


def _known(error: ForemanError) -> Response:
    log.info(
        "request refused",
        extra={"path": request.path, "code": error.code, "error": str(error)},
    )
    return error_response(failure_of(error), retry_after_s=error.retry_after_s)


def _http(error: HTTPException) -> Response:
    status = error.code or 500
    return error_response(Failure(status, "http_error", error.description or error.name))


def _defect(error: Exception) -> Response:
    log.exception("defect", extra={"path": request.path})
    return error_response(Failure(500, "internal_error", "internal error; see foreman's log"))
