"""Read a request by a model of `payloads`; what does not fit is refused and named."""

import re
from typing import Any, TypeVar

from flask import request
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from foreman.errors import RequestRefused
from foreman.refusals import Unprocessable

M = TypeVar("M", bound=BaseModel)

LABEL = "metadata."
# A time whose zone began with a + that the URL made a space of.
_LOST_PLUS = re.compile(r"T[0-9:.]{5,20} [0-9]{2}:?[0-9]{2}$")
_UNKNOWN = "unknown field"


def parse(model: type[M], body: bytes) -> M:
    """The body as the model has it; RequestRefused when it is no JSON, else Unprocessable."""
    try:
        return model.model_validate_json(body)
    except ValidationError as exc:
        raise _refusal(exc) from exc


def read_query(model: type[M]) -> M:
    """The query parameters, each of which may come once."""
    given = {name: value for name, value in _once().items() if not _is_label(name)}
    unknown = [name for name in given if name not in model.model_fields]
    if unknown:
        known = ", ".join(model.model_fields) or "none"
        words = f"{unknown[0]}: unknown parameter; this route has {known}"
        raise Unprocessable(words, field=unknown[0])
    for name, value in given.items():
        if name.startswith("created_") and _LOST_PLUS.search(value):
            words = f"{name}: in a URL a + is a space; write the + of a time zone as %2B"
            raise Unprocessable(words, field=name)
    return _read(model, given)


def read_labels() -> dict[str, str]:
    """The values of `metadata.NAME=…` parameters, by NAME."""
    labels = {name.removeprefix(LABEL): value for name, value in _once().items() if _is_label(name)}
    for name, value in labels.items():
        if "\x00" in name + value:
            raise Unprocessable("may not contain the character U+0000", field=LABEL + name)
    return labels


def read_headers(model: type[M]) -> M:
    """Those of the request's headers that the model names."""
    names = [field.alias or name for name, field in model.model_fields.items()]
    return _read(model, {name: request.headers[name] for name in names if name in request.headers})


def _once() -> dict[str, str]:
    for name, values in request.args.lists():
        if len(values) > 1:
            raise Unprocessable("is given twice", field=name)
    return request.args.to_dict()


def _is_label(name: str) -> bool:
    return name.startswith(LABEL) and name != LABEL


def _read(model: type[M], given: dict[str, Any]) -> M:
    try:
        return model.model_validate(given)
    except ValidationError as exc:
        raise _refusal(exc) from exc


def _refusal(exc: ValidationError) -> RequestRefused:
    first = exc.errors(include_url=False, include_input=False)[0]
    if first["type"] == "json_invalid":
        return RequestRefused(f"the body is not JSON: {_words(first)}")
    field = ".".join(str(part) for part in first["loc"])
    return Unprocessable(f"{field or 'the body'}: {_words(first)}", field=field or None)


def _words(error: ErrorDetails) -> str:
    if error["type"] == "extra_forbidden":
        return _UNKNOWN
    message = error["msg"].removeprefix("Value error, ").removeprefix("Invalid JSON: ")
    return message[:1].lower() + message[1:]
