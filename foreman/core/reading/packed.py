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


def unpacked(body: bytes) -> Generator[None, None, bytes]:
    """The unpacked bytes of a zstd body; Unreadable when Ollama could not unpack them."""
    unpacker = zstandard.ZstdDecompressor(max_window_size=_WINDOW_LIMIT_BYTES)
    source = cast(IO[bytes], _Marked(body))
    pieces: list[bytes] = []
    size = 0
    try:
        with unpacker.stream_reader(source, read_across_frames=True) as reader:
            while piece := reader.read(_PIECE_BYTES):
                pieces.append(piece)
                size += len(piece)
                if size > SIZE_LIMIT_BYTES + len(_MARK):
                    raise Unreadable("the unpacked body is too large")
                if len(pieces) % _PIECES_PER_STEP == 0:
                    yield
    except zstandard.ZstdError as exc:
        raise Unreadable("the body is not zstd") from exc
    whole = b"".join(pieces)
    if not whole.endswith(_MARK):
        raise Unreadable("the compressed body is incomplete")
    return whole.removesuffix(_MARK)
