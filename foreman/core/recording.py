"""The chunks of an answer with their times: what `stream.ndjson` holds."""

import codecs
import io
import json

_CUT = b'{"cut":true}\n'


class Recording:
    """One JSON line a chunk: `{"t": seconds since the request went out, "data": its text}`.

    A character that was cut in two comes whole, with its second half; so the texts, one after the
    other, are the answer. The lines are many times as large as the answer: at the limit they stop,
    and the last one is `{"cut": true}`.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes - len(_CUT)
        self._is_cut = False
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._lines = io.BytesIO()  # which gives away its bytes without a copy

    def add(self, chunk: bytes, *, after_s: float) -> None:
        """Take a chunk, unless there were too many."""
        if self._is_cut:
            return
        told = {"t": round(after_s, 4), "data": self._decoder.decode(chunk)}
        line = json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
        self._is_cut = self._lines.tell() + len(line) > self._limit_bytes
        self._lines.write(_CUT if self._is_cut else line)

    def __bytes__(self) -> bytes:
        return self._lines.getvalue()
