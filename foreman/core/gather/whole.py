"""An answer that is not streamed: an embedding, a load, a transcription. Its bytes are the body."""

import io
from collections.abc import Iterator

from foreman.core.gather.gathering import Gathering
from foreman.core.gather.kept import too_large
from foreman.core.gather.lines import Piece
from foreman.core.gather.usage import usage_in
from foreman.core.go_json import Fields, read_outline


class WholeGathering(Gathering):
    """One body, kept as it comes."""

    _read = staticmethod(read_outline)  # an embedding is all fractions, and never written again

    def __init__(self, limit_bytes: int, *, is_json: bool) -> None:
        self._body = _Body(limit_bytes)
        super().__init__(self._body, limit_bytes)
        self._is_json = is_json
        self._answer: Fields = {}

    def finish(self) -> bytes:
        """Return the body as it came; TargetCut when its JSON is not whole."""
        if self._is_json:
            self._finished()
        return self._body.received.getvalue()

    def take(self, name: str, said: Fields) -> None:
        self._answer = said
        self.usage = usage_in(said)
        self.is_complete = True

    def answer(self) -> Fields:
        if self._is_json and not self.is_complete:
            raise self.cut()
        return self._answer


class _Body:
    """One piece, whatever is in it."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self.received = io.BytesIO()  # which gives away its bytes without a copy

    def split(self, chunk: bytes) -> Iterator[Piece]:
        self.received.write(chunk)
        if self.received.tell() > self._limit_bytes:
            raise too_large(self._limit_bytes)
        return iter(())

    def rest(self) -> Iterator[Piece]:
        yield Piece("", self.received.getvalue())
