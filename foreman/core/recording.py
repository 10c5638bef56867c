"""The chunks of an answer with their times: what `stream.ndjson` holds."""

import codecs
import json

from foreman.core.gather.kept import Allowance


class Recording:
    """One JSON line a chunk: `{"t": seconds since the request went out, "data": its text}`.

    A character that was cut in two comes whole, with its second half; so the texts, one after the
    other, are the answer.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._allowance = Allowance(limit_bytes)
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._lines = bytearray()

    def add(self, chunk: bytes, *, after_s: float) -> None:
        """Take a chunk; AnswerTooLarge when there are too many."""
        told = {"t": round(after_s, 4), "data": self._decoder.decode(chunk)}
        line = json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
        self._allowance.spend(len(line))
        self._lines += line

    def __bytes__(self) -> bytes:
        return bytes(self._lines)
