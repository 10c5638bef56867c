"""The parts that `contract` is made of: an operation, and one of its answers."""

from dataclasses import dataclass

from pydantic import BaseModel

from foreman.api import objects, payloads
from foreman.api.problems import PROBLEM_JSON

JSON = "application/json"
NDJSON = "application/x-ndjson"
ANY = "*/*"


@dataclass(frozen=True, slots=True)
class Answer:
    """One status: its body (None: unspecified or empty), its headers of note."""

    status: int
    meaning: str
    body: type[BaseModel] | None = None
    content_type: str = JSON
    headers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of one path."""

    name: str
    method: str
    path: str
    summary: str
    answers: tuple[Answer, ...]
    query: type[BaseModel] = payloads.NoQuery
    has_labels: bool = False  # takes `metadata.NAME=VALUE`, too
    headers: type[BaseModel] | None = None
    body: type[BaseModel] | None = None
    body_type: str = JSON
    is_body_needed: bool = True


def problem(status: int, meaning: str) -> Answer:
    return Answer(status, meaning, objects.Problem, PROBLEM_JSON)
