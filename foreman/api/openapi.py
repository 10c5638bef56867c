"""`/openapi.json`: the contract as an OpenAPI 3.1 document, made once when the process starts."""

import json
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from foreman.api.contract import ALWAYS
from foreman.api.contract_parts import Answer, Operation
from foreman.api.payloads import NoQuery

_REF = "#/components/schemas/{model}"
_HEADERS = {
    "Location": "The job's own path.",
    "X-Foreman-Job-Id": "The job's id.",
    "Idempotent-Replayed": "`true`: the key had made this job before.",
    "Preference-Applied": "`wait=N`: the answer may have waited so long.",
    "ETag": "Names the bytes: their SHA-256.",
    "Accept-Ranges": "`bytes`.",
    "Content-Range": "Which bytes these are.",
    "Content-Length": "How many bytes these are.",
}
_PATH_PARTS = {
    "job_id": {"type": "string", "format": "uuid"},
    "delivery_id": {"type": "string", "format": "uuid"},
    "name": {"type": "string", "minLength": 1},
}
_LABELS = {
    "name": "metadata",
    "in": "query",
    "style": "form",
    "explode": True,
    "description": "`metadata.NAME=VALUE`: only jobs whose metadata say so; any number of them.",
    "schema": {
        "type": "object",
        "propertyNames": {"pattern": r"^metadata\.[A-Za-z0-9_-]+$"},
        "additionalProperties": {"type": "string", "pattern": r"^[^\x00]*$"},
    },
}


def document(operations: tuple[Operation, ...], version: str) -> dict[str, Any]:
    """The whole document."""
    schemas = _schemas(operations)
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        item = paths.setdefault(operation.path, {})
        item[operation.method.lower()] = _operation(operation, schemas)
    asked = {each.__name__ for each in _parameter_models(operations)}
    shown = {name: schema for name, schema in schemas.items() if name not in asked}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "foreman",
            "version": version,
            "description": "Work for Ollama servers without an open connection. Ollama's own"
            " routes are served beside these, as Ollama documents them.",
        },
        "paths": paths,
        "components": {"schemas": shown},
    }


def as_text(shown: dict[str, Any]) -> str:
    return json.dumps(shown, ensure_ascii=False, separators=(",", ":"))


def _parameter_models(operations: tuple[Operation, ...]) -> set[type[BaseModel]]:
    models = {each.query for each in operations} | {each.headers for each in operations}
    return {model for model in models if model is not None}


def _schemas(operations: tuple[Operation, ...]) -> dict[str, Any]:
    sent = _parameter_models(operations) | {each.body for each in operations if each.body}
    answers = [answer for each in operations for answer in (*each.answers, *ALWAYS)]
    shown = {answer.body for answer in answers if answer.body}
    modes: list[tuple[type[BaseModel], JsonSchemaMode]] = [
        *((model, "validation") for model in sorted(sent, key=lambda each: each.__name__)),
        *((model, "serialization") for model in sorted(shown, key=lambda each: each.__name__)),
    ]
    _, whole = models_json_schema(modes, ref_template=_REF)
    schemas: dict[str, Any] = whole["$defs"]
    return schemas


def _operation(operation: Operation, schemas: dict[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "tags": [operation.path.split("/")[1]],
        "parameters": _parameters(operation, schemas),
        "responses": _responses(operation),
    }
    if operation.body is not None:
        schema = {"$ref": _REF.format(model=operation.body.__name__)}
        shown["requestBody"] = {
            "required": operation.is_body_needed,
            "content": {operation.body_type: {"schema": schema}},
        }
    return shown


def _parameters(operation: Operation, schemas: dict[str, Any]) -> list[dict[str, Any]]:
    shown: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": schema}
        for name, schema in _PATH_PARTS.items()
        if f"{{{name}}}" in operation.path
    ]
    if operation.query is not NoQuery:
        shown += _named(schemas[operation.query.__name__], "query")
    if operation.headers is not None:
        shown += _named(schemas[operation.headers.__name__], "header")
    return [*shown, _LABELS] if operation.has_labels else shown


def _named(schema: dict[str, Any], place: str) -> list[dict[str, Any]]:
    required = schema.get("required", [])
    return [
        {
            "name": name,
            "in": place,
            "required": name in required,
            "description": each.get("description", ""),
            "schema": _present(each),
        }
        for name, each in schema.get("properties", {}).items()
    ]


def _present(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of a parameter that is there: it cannot be null, it can only be left out."""
    kept = {key: value for key, value in schema.items() if key not in ("title", "description")}
    choices = [each for each in kept.pop("anyOf", []) if each != {"type": "null"}]
    if kept.get("default", ...) is None:
        del kept["default"]
    return (choices[0] if len(choices) == 1 else {"anyOf": choices} if choices else {}) | kept


def _responses(operation: Operation) -> dict[str, Any]:
    by_status: dict[str, Any] = {}
    for answer in (*operation.answers, *ALWAYS):
        by_status.setdefault(str(answer.status), _response(answer))
    return by_status


def _response(answer: Answer) -> dict[str, Any]:
    shown: dict[str, Any] = {"description": answer.meaning}
    if answer.headers:
        shown["headers"] = {
            name: {"description": _HEADERS[name], "schema": {"type": "string"}}
            for name in answer.headers
        }
    if answer.body is not None:
        schema = {"$ref": _REF.format(model=answer.body.__name__)}
        shown["content"] = {answer.content_type: {"schema": schema}}
    elif answer.status != 304:
        shown["content"] = {answer.content_type: {}}
    return shown
