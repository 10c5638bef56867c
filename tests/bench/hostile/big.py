"""A target whose answers are one line of 20 MB, as fast as they are taken."""

import socket

from tests.fakes.raw_target import chunked, head

BIG_TARGET, BIG_MODEL = "big", "chain-a"
BIG_BYTES = 20 * 1000 * 1000
SLOTS = 8
_PIECE_BYTES = 64 * 1024

_HEAD = head("200 OK", "Content-Type: application/x-ndjson", "Transfer-Encoding: chunked")
_START, _END = b'{"message":{"content":"', b'"},"done":true}\n'
_PIECE = chunked(b"a" * _PIECE_BYTES).removesuffix(chunked())


def send_big_line(connection: socket.socket, _body: bytes) -> None:
    """The script of the target: a line of BIG_BYTES, in chunks."""
    whole, rest = divmod(BIG_BYTES - len(_START) - len(_END), _PIECE_BYTES)
    connection.sendall(_HEAD + chunked(_START).removesuffix(chunked()))
    for _piece in range(whole):
        connection.sendall(_PIECE)
    connection.sendall(chunked(b"a" * rest + _END))
