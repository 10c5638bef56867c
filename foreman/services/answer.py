"""What the web process gives a client: status, headers, a body that is closed by its reader."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from foreman.core.frames import Failure, Head, Headers
from foreman.errors import ForemanError, TargetRedirects


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer whose status and headers are settled; `body` yields bytes as they come."""

    status: int
    headers: Headers
    body: Iterator[bytes]


class Exchange(Protocol):
    """One request on its way to an answer."""

    def start(self) -> Answer:
        """Wait until status and headers are settled."""

    def leave(self) -> None:
        """The client has gone; may be called at any time, from another thread."""

    def close(self) -> None:
        """Let go of everything; what still runs for the client is stopped."""


def failure_of(error: ForemanError) -> Failure:
    """An error as a client is told of it."""
    return Failure(error.status, error.code, str(error))


def check_final(head: Head, target: str) -> None:
    """TargetRedirects for a 3xx, which is no answer of Ollama's to what foreman asks."""
    if 300 <= head.status < 400:
        raise TargetRedirects(
            f"target {target} answered with a redirect ({head.status});"
            " FOREMAN_TARGETS must name the server itself"
        )
