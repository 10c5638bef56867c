"""Where the answer to one run goes, and what the job's row says of it at the end."""

from dataclasses import dataclass, field
from typing import Protocol

from foreman.core.frames import Failure, Head
from foreman.core.gather.usage import Usage
from foreman.core.stream_request import StreamRequest
from foreman.store.produced import Produced


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What is left of a run."""

    status: int | None = None  # the target's, of an answer that is whole
    response_bytes: int = 0
    usage: Usage = field(default_factory=Usage)
    artifacts: tuple[Produced, ...] = ()


class Sink(Protocol):
    """Takes the answer to one run: ask, begin, take, …, finish, close; fail in place of any."""

    is_seen: bool  # somebody has bytes of it: the job cannot start over

    @property
    def tokens(self) -> int | None:
        """How many came so far, nearly; None: nobody counts."""

    def ask(self, body: bytes) -> StreamRequest:
        """What to send now for a request with this body; RequestRefused when that cannot be."""

    def begin(self, head: Head) -> None:
        """The target's status and headers."""

    def take(self, chunk: bytes) -> None:
        """A chunk of the body; raises what makes the rest of it useless.

        It may wait for a client that reads slowly, until `stop` is called.
        """

    def credit(self, taken_bytes: int) -> None:
        """The client has taken so many bytes by now; from any thread."""

    def stop(self) -> None:
        """The run is to end: let nothing wait in `take`; from any thread."""

    def finish(self) -> Outcome:
        """The body is whole; raises what makes it a failure all the same."""

    def fail(self, failure: Failure) -> Outcome:
        """The job ends with this."""

    def close(self) -> None:
        """Nothing more comes."""
