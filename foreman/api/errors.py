"""Errors of foreman's own as HTTP answers: in the form of the caller's protocol, or as problems."""

import logging
from http import HTTPStatus

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from foreman.api.problems import is_own, problem, problem_of, problem_response
from foreman.core import headers as header_rules
from foreman.core.frames import Failure
from foreman.core.replies import error_body
from foreman.core.surface import dialect_of
from foreman.errors import Defect, ForemanError
from foreman.ids import new_id
from foreman.services.answer import failure_of

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
        extra={
            "path": request.path,
            "code": error.code,
            "error": str(error),
            **({"job_id": error.job_id} if error.job_id else {}),
        },
    )
    if is_own(request.path):
        response = problem_response(problem_of(error))
        if error.retry_after_s is not None:
            response.headers["Retry-After"] = str(error.retry_after_s)
        return response
    response = error_response(failure_of(error), retry_after_s=error.retry_after_s)
    if error.job_id is not None:
        response.headers[header_rules.JOB_ID] = error.job_id
    return response


def _http(error: HTTPException) -> Response:
    response = _answer(error.code or 500, "http_error", error.description or error.name)
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        response.headers["Allow"] = ", ".join(sorted(error.valid_methods))
    return response


def _defect(error: Exception) -> Response:
    log.exception("defect", extra={"path": request.path})
    return _answer(Defect.status, Defect.code, str(Defect()))


def _answer(status: int, code: str, words: str) -> Response:
    if is_own(request.path):
        return problem_response(problem(status, code, HTTPStatus(status).phrase, words))
    return error_response(Failure(status, code, words))
