"""Answers that are known in advance: no two requests have one in common, and no token occurs twice.

A simulated Ollama that is asked for a JSON value of which only one is allowed says this value, word
by word. So each client knows every byte of text that it must get.
"""

import json
from dataclasses import dataclass
from typing import Any

from foreman.simulation.embeddings import vector
from tests.chaos.values import Kind, Record

EMBEDDING_LENGTH = 16


@dataclass(frozen=True)
class Heard:
    """What an answer said. `late` counts what came after its end."""

    text: str = ""
    is_whole: bool = False
    error: str | None = None
    late: int = 0


def words(tag: str, count: int, size: int = 1) -> str:
    """A text of so many numbered words; `size` makes each that much longer."""
    return " ".join(f"{tag}.{number}{'x' * (size - 1)}" for number in range(count))


def schema(text: str) -> dict[str, Any]:
    """The JSON schema that allows `text` alone."""
    return {"type": "object", "properties": {"t": {"enum": [text]}}}


def said(text: str) -> str:
    """What a target says when it is given `schema(text)`."""
    return json.dumps({"t": text})


def tokens(text: str) -> int:
    """How many pieces that answer has in the target's log."""
    return len(said(text).split())


def embedding_of(text: str) -> str:
    """What the embedding of `text` must be, as JSON."""
    return json.dumps([list(vector(text, EMBEDDING_LENGTH))])


def heard(record: Record) -> Heard:
    """What the client of `record` understood."""
    readers = {Kind.CHAT: _ndjson, Kind.SSE: _events, Kind.EMBED: _embedding}
    return readers[record.kind](record.body)


def result_text(body: bytes) -> str:
    """The text of a stored result; "" when it is none."""
    try:
        return str(json.loads(body)["message"]["content"])
    except (ValueError, KeyError, TypeError):
        return ""


class _Hearing:
    """What has been understood so far, one line or event after the other."""

    def __init__(self) -> None:
        self._text = ""
        self._is_whole = self._is_torn = False
        self._error: str | None = None
        self._late = 0

    def take(self, said: Any) -> None:
        """One line or event, parsed; None for one that cannot be."""
        is_error = isinstance(said, dict) and "error" in said
        # A line that was sent in part is closed, and then comes the error that explains it.
        self._late += self._is_whole or self._error is not None or (self._is_torn and not is_error)
        if is_error:
            self._error = json.dumps(said["error"])
        elif said is None:
            self._is_torn = True
        else:
            self._hear(said)

    def end(self) -> None:
        self._late += self._is_whole
        self._is_whole = True

    def heard(self) -> Heard:
        error = self._error or ("torn" if self._is_torn else None)
        return Heard(self._text, self._is_whole, error, self._late)

    def _hear(self, said: dict[str, Any]) -> None:
        self._text += said.get("message", {}).get("content", "")
        self._text += "".join(each["delta"].get("content", "") for each in said.get("choices", ()))
        self._is_whole = self._is_whole or bool(said.get("done"))


def _parsed(text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _ndjson(body: bytes) -> Heard:
    hearing = _Hearing()
    for line in body.splitlines():
        if line.strip():  # else keep-alives
            hearing.take(_parsed(line))
    return hearing.heard()


def _events(body: bytes) -> Heard:
    hearing = _Hearing()
    for event in body.split(b"\n\n"):
        lines = [line for line in event.split(b"\n") if line and not line.startswith(b":")]
        data = b"".join(line.removeprefix(b"data: ") for line in lines)
        if data == b"[DONE]":
            hearing.end()
        elif data:
            hearing.take(_parsed(data))
    return hearing.heard()


def _embedding(body: bytes) -> Heard:
    try:
        said = json.loads(body)
    except ValueError:
        return Heard(error=f"unreadable {body[:80]!r}")
    if "embeddings" not in said:
        return Heard(error=str(said.get("error", said)))
    return Heard(json.dumps(said["embeddings"]), is_whole=True)
