"""What the gathering of an answer is in every dialect: bytes in, the whole body out.

A subclass takes one line or event after the other and says what they come to. Reading the bytes,
the limit and the errors are here.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from foreman.core.gather.images import GatheredImage, images_in
from foreman.core.gather.kept import Allowance, too_large
from foreman.core.gather.lines import Cutter, Piece
from foreman.core.gather.usage import Usage
from foreman.core.go_json import Fields, fields, read, text, write
from foreman.errors import AnswerIncomplete, AnswerUnreadable, TargetCut, TargetFailed


@dataclass(frozen=True, slots=True)
class ErrorInStream:
    """What a target says when it fails after its 200."""

    message: str
    kind: str = ""  # the dialect's name of it; Ollama's own has none


class Gathering(ABC):
    """One answer, from its first chunk to its end.

    The bytes may be cut anywhere. What is kept and the line that is not complete yet have each at
    most `limit_bytes`, and so has the body.
    """

    # What Ollama ends a whole body of this dialect with.
    ending = b"\n"
    _read = staticmethod(read)

    def __init__(self, cutter: Cutter, limit_bytes: int) -> None:
        self.pieces = 0  # lines or events that carried some of the answer: tokens, nearly
        self.error: ErrorInStream | None = None  # the target failed; nothing after it counts
        self.is_complete = False  # the last line or event of the dialect has come
        self.usage = Usage()  # best after the end
        self.allowance = Allowance(limit_bytes)
        self._cutter = cutter

    def feed(self, chunk: bytes) -> None:
        """Take bytes as they come; AnswerUnreadable, AnswerTooLarge."""
        for piece in self._cutter.split(chunk):
            self._take_piece(piece)

    def finish(self) -> bytes:
        """Return the body that a call without streaming would have returned.

        To be called when the connection has ended as it should. Raises TargetFailed when the
        target told an error, TargetCut when the end is missing, AnswerUnreadable, AnswerTooLarge.
        """
        body = self._write(self._finished(), self.ending)
        if len(body) > self.allowance.limit_bytes:
            raise too_large(self.allowance.limit_bytes)
        return body

    def images(self, limit: int | None = None) -> list[GatheredImage]:
        """The (first) images in the answer, decoded, in its order; raises as `finish` does."""
        return list(islice(images_in(self._finished()), limit))

    @abstractmethod
    def take(self, name: str, said: Fields) -> None:
        """Take one object of the stream; `name` is that of its event."""

    @abstractmethod
    def answer(self) -> Fields:
        """What all of it comes to, in Ollama's order of fields."""

    def is_last_word(self, data: bytes) -> bool:
        """Whether this, which need not be JSON, ends the stream."""
        return False

    def error_in(self, name: str, said: Fields) -> ErrorInStream | None:
        """The error that one object of the stream tells, if it does."""
        error = said.get("error")
        if isinstance(error, dict):
            message = text(error.get("message")) or self._write(error).decode()
            return ErrorInStream(message, text(error.get("type")))
        return ErrorInStream(str(error)) if error else None

    def cut(self) -> TargetCut:
        return AnswerIncomplete()

    def _finished(self) -> Fields:
        self._take_rest()
        if self.error is not None:
            raise TargetFailed(self.error.message)
        try:
            return self.answer()
        except (ValueError, RecursionError) as exc:
            raise self._unreadable(exc) from exc

    def _take_rest(self) -> None:
        rest: Iterator[Piece] = self._cutter.rest()
        for piece in rest:
            try:
                self._take_piece(piece)
            except AnswerUnreadable as exc:
                # Half a line: not another language, but an end too early.
                raise self.cut() from exc

    def _take_piece(self, piece: Piece) -> None:
        if self.error is not None or self.is_complete or not piece.data.strip():
            return
        if self.is_last_word(piece.data):
            self.is_complete = True
            return
        try:
            said = self._read(piece.data)
            if not isinstance(said, dict):
                raise ValueError("not an object")
            self.error = self.error_in(piece.name, said)
            if self.error is None:
                self.take(piece.name, fields(said))
        except (ValueError, RecursionError) as exc:
            raise self._unreadable(exc) from exc

    def _write(self, value: object, ending: bytes = b"") -> bytes:
        try:
            return write(value, ending)
        except ValueError as exc:
            raise self._unreadable(exc) from exc

    def _unreadable(self, reason: Exception) -> AnswerUnreadable:
        return AnswerUnreadable(f"the target's answer cannot be read: {reason}")
