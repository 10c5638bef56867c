"""What a dialect must be able to say; the dialects are native, openai, responses and anthropic."""

import functools
import random
from collections.abc import Mapping
from typing import Protocol

from foreman.simulation.answers import Answer, ToolCall
from foreman.simulation.decode import Refused
from foreman.simulation.wire import go_json


class Voice(Protocol):
    """One answer in one dialect; every method but `whole` gives one chunk of its stream."""

    @property
    def json_type(self) -> str: ...

    @property
    def stream_type(self) -> str: ...

    @property
    def stream_headers(self) -> Mapping[str, str]: ...

    def thought(self, token: str) -> bytes: ...

    def word(self, token: str) -> bytes: ...

    def call(self, call: ToolCall) -> bytes: ...

    def done(self, answer: Answer) -> bytes: ...

    def broken(self, message: str) -> bytes:
        """The last chunk when the model fails in the middle of a stream."""
        ...

    def whole(self, answer: Answer) -> bytes:
        """The answer that is not streamed."""
        ...


class ErrorForm(Protocol):
    """How a dialect writes a refusal: its body and content type."""

    def __call__(self, refused: Refused, *, while_reading: bool) -> tuple[bytes, str]: ...


@functools.lru_cache(maxsize=4096)
def json_text(token: str) -> bytes:
    """A token as a JSON string; models repeat themselves, so it is encoded once."""
    return go_json(token)


def sse(value: object, event: str = "") -> bytes:
    head = f"event: {event}\n".encode() if event else b""
    return head + b"data: " + go_json(value) + b"\n\n"


def short_id() -> int:
    return random.randrange(999)
