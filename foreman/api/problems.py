"""Errors of foreman's own routes as `application/problem+json` (RFC 9457)."""

import re

from flask import Response

from foreman.api.objects import Problem
from foreman.errors import ForemanError

PROBLEM_JSON = "application/problem+json"

_OWN = re.compile(r"/(jobs|deliveries|queues|swaps)(/.*)?|/openapi\.json|/docs", re.DOTALL)


def is_own(path: str) -> bool:
    """Whether the path is one of foreman's own routes, or below one."""
    return _OWN.fullmatch(path) is not None


def problem_of(error: ForemanError) -> Problem:
    """What a caller is told of an error."""
    return problem(
        error.status, error.code, type(error).message, str(error), getattr(error, "field", None)
    )


def problem(status: int, code: str, title: str, detail: str, field: str | None = None) -> Problem:
    return Problem(type=f"/docs#{code}", title=title, status=status, detail=detail, field=field)


def problem_response(shown: Problem) -> Response:
    """A problem as a whole answer."""
    body = shown.model_dump_json(exclude_none=True)
    return Response(body, shown.status, content_type=PROBLEM_JSON)
