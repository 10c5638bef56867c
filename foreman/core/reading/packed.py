"""Unpack a zstd body as Ollama does: 20 MiB at most, and whole frames only."""

import io
from collections.abc import Generator
from typing import IO, cast

import zstandard

from foreman.core.reading.scan import Unreadable

# Ollama's own limits.
SIZE_LIMIT_BYTES = 20 * 1024 * 1024
_WINDOW_LIMIT_BYTES = 8 * 1024 * 1024

_PIECE_BYTES = 64 * 1024
_PIECES_PER_STEP = 8
_MARK = b"foreman: the end"


class _Marked(io.RawIOBase):
    """The packed body with one more frame after it: what comes out of that shows a cut."""

    def __init__(self, body: bytes) -> None:
        super().__init__()
        self._parts = [io.BytesIO(body), io.BytesIO(zstandard.compress(_MARK))]

    def read(self, size: int = -1) -> bytes:
        while self._parts:
            if piece := self._parts[0].read(size):
                return piece
            del self._parts[0]
        return b""


def is_small(body: bytes, limit_bytes: int) -> bool:
    """Whether no more than this comes out of a zstd body; only so much of it is unpacked."""
    try:
        with _unpacker().stream_reader(body, read_across_frames=True) as reader:
            return len(reader.read(limit_bytes + 1)) <= limit_bytes
    except zstandard.ZstdError:
        return True  # no more comes out of it


def unpacked(body: bytes) -> Generator[None, None, bytes]:
    """The unpacked bytes of a zstd body; Unreadable when Ollama could not unpack them."""
    source = cast(IO[bytes], _Marked(body))
    whole = io.BytesIO()  # it gives away its bytes without a copy
    pieces = 0
    try:
        with _unpacker().stream_reader(source, read_across_frames=True) as reader:
            while piece := reader.read(_PIECE_BYTES):
                whole.write(piece)
                pieces += 1
                if whole.tell() > SIZE_LIMIT_BYTES + len(_MARK):
                    raise Unreadable("the unpacked body is too large")
                if pieces % _PIECES_PER_STEP == 0:
                    yield
    except zstandard.ZstdError as exc:
        raise Unreadable("the body is not zstd") from exc
    size = whole.tell() - len(_MARK)
    whole.seek(max(size, 0))
    if whole.read() != _MARK:
        raise Unreadable("the compressed body is incomplete")
    whole.truncate(size)
    return whole.getvalue()


def _unpacker() -> zstandard.ZstdDecompressor:
    return zstandard.ZstdDecompressor(max_window_size=_WINDOW_LIMIT_BYTES)
