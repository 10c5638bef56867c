"""What the tests of foreman's own routes stand on: a caller, and values that are right."""

from typing import Any
from uuid import UUID

from flask import Flask
from werkzeug.test import TestResponse

PROBLEM = "application/problem+json"


def ask(**changes: Any) -> dict[str, Any]:
    """The body of a short chat as a job."""
    request = {"model": "chain-a", "messages": [{"role": "user", "content": "hi"}]}
    return {"endpoint": "/api/chat", "request": request} | changes


class Reply:
    """A whole answer; `json` is what it says, None when it says no JSON."""

    def __init__(self, answer: TestResponse) -> None:
        self.status_code = answer.status_code
        self.headers = answer.headers
        self.content_type = answer.content_type
        self.data = answer.data
        self.text = answer.data.decode(errors="replace")
        self.json: Any = answer.get_json(silent=True)


class Caller:
    """Calls the application; a caller is used by one thread at a time."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        self._client = app.test_client()

    def get(self, path: str, **headers: str) -> Reply:
        return Reply(self._client.get(path, headers=_spelled(headers)))

    def head(self, path: str, **headers: str) -> Reply:
        return Reply(self._client.head(path, headers=_spelled(headers)))

    def post(self, path: str, body: Any = None, **headers: str) -> Reply:
        """A POST; bytes are sent as they are. `Idempotency_Key="x"` is that header."""
        given: dict[str, Any] = {"data": body} if isinstance(body, bytes) else {"json": body}
        return Reply(self._client.post(path, headers=_spelled(headers), **given))

    def call(self, method: str, path: str) -> Reply:
        return Reply(self._client.open(path, method=method))

    def submit(self, **changes: Any) -> UUID:
        """A job that was accepted; its id."""
        answer = self.post("/jobs", ask(**changes))
        assert answer.status_code == 202, answer.text
        return UUID(answer.json["id"])

    def job(self, job_id: UUID | str) -> dict[str, Any]:
        answer = self.get(f"/jobs/{job_id}")
        assert answer.status_code == 200, answer.text
        job: dict[str, Any] = answer.json
        return job


def _spelled(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def problem_of(answer: Reply) -> tuple[int, str, str | None]:
    """Status, code and field of a problem, which it must be."""
    assert answer.content_type == PROBLEM, answer.text
    assert answer.json["status"] == answer.status_code
    return answer.status_code, answer.json["type"].partition("#")[2], answer.json.get("field")
