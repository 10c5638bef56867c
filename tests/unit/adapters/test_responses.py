"""Answers of a target that are cut or broken, at every byte: an error, and never an end."""

import io
import itertools
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import IncompleteRead

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreman.adapters.responses import Chunks, MalformedAnswer
from foreman.adapters.target import TargetClient, TargetRequest
from foreman.core.frames import Head
from foreman.errors import AnswerUnreadable, TargetCut, TargetError
from foreman.parsing import TargetSpec
from tests.fakes.raw_target import chunked, head

BODY = b'{"message":{"content":"hi"},"done":true}\n'
NDJSON = "Content-Type: application/x-ndjson"
CHUNKED = "Transfer-Encoding: chunked"
WITH_LENGTH = head("200 OK", f"Content-Length: {len(BODY)}") + BODY
IN_CHUNKS = head("200 OK", NDJSON, CHUNKED) + chunked(BODY[:10], BODY[10:])


class Blocks(io.RawIOBase):
    """What arrives, block by block."""

    def __init__(self, blocks: list[bytes]) -> None:
        self._blocks = [block for block in blocks if block]

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:  # type: ignore[no-untyped-def]  # signature of the base
        if not self._blocks:
            return 0
        block = self._blocks[0][: len(buffer)]
        self._blocks[0] = self._blocks[0][len(block) :]
        self._blocks = [each for each in self._blocks if each]
        buffer[: len(block)] = block
        return len(block)


def body_in(content: bytes, cuts: list[int] | None = None, *, size: int = 64) -> bytes:
    edges = [0, *sorted(cuts or []), len(content)]
    blocks = [content[a:b] for a, b in itertools.pairwise(edges)]
    reader = Chunks(io.BufferedReader(Blocks(blocks)))
    parts = []
    while part := reader.read1(size):
        assert len(part) <= size
        parts.append(part)
    return b"".join(parts)


pieces_of = st.lists(st.binary(min_size=1, max_size=300), max_size=8)


@given(pieces=pieces_of, cuts=st.lists(st.integers(0, 500), max_size=6), size=st.integers(1, 400))
def test_chunks_are_read_whole_however_they_arrive(
    pieces: list[bytes], cuts: list[int], size: int
) -> None:
    content = chunked(*pieces)

    assert body_in(content, [cut % (len(content) + 1) for cut in cuts], size=size) == b"".join(
        pieces
    )


@given(pieces=pieces_of, at=st.integers(0, 10_000))
def test_chunks_that_are_cut_anywhere_have_no_end(pieces: list[bytes], at: int) -> None:
    content = chunked(*pieces)

    with pytest.raises(IncompleteRead):
        body_in(content[: at % len(content)])


@pytest.mark.parametrize(
    "content",
    [
        b"-5\r\nhello\r\n0\r\n\r\n",
        b"0x5\r\nhello\r\n0\r\n\r\n",
        b"1_0\r\n0123456789abcdef\r\n0\r\n\r\n",
        b"\r\nhello\r\n0\r\n\r\n",
        b"abc xyz\r\nhello\r\n0\r\n\r\n",
        b"5\r\nhello, world\r\n0\r\n\r\n",
        b"5\r\nhello0\r\n\r\n",
        b"f" * 17 + b"\r\nhello\r\n0\r\n\r\n",
        b"5" * 5000,
        b"5;" + b"x" * 5000 + b"\r\nhello\r\n0\r\n\r\n",
        b"5\r\nhello\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n",
        b"5\r\nhello\r\n0\r\n" + b"More: and more\r\n" * 20_000,
    ],
)
def test_chunks_that_break_the_rules_are_no_body(content: bytes) -> None:
    with pytest.raises(MalformedAnswer):
        body_in(content)


@pytest.mark.parametrize(
    "content",
    [
        b"5\r\nhello\r\n0\r\n\r\n",
        b"0005;name=value\r\nhello\r\n000\r\nTrailer: x\r\n\r\n",
        b"5 \r\nhello\r\n0\r\n\r\n",
    ],
)
def test_unusual_chunks_that_keep_the_rules_are_read(content: bytes) -> None:
    assert body_in(content) == b"hello"


def read_request(connection: socket.socket) -> None:
    """Read what `ask` sends: its body may come after its head."""
    while (piece := connection.recv(65536)) and not piece.endswith(b"{}"):
        pass


@contextmanager
def target_that_sends(*answers: bytes) -> Iterator[TargetClient]:
    """A target that gives each connection the next answer, and closes it."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            for answer in answers:
                with server.accept()[0] as connection:
                    read_request(connection)
                    connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        spec = TargetSpec(name="gpu", url=url, slots=1)
        with closing(TargetClient(spec, silence_s=10, connections=1)) as client:
            yield client


def ask(client: TargetClient) -> tuple[Head, bytes]:
    return client.fetch(TargetRequest("POST", "/api/chat", body=b"{}"), silence_s=None)


@pytest.mark.parametrize("answer", [WITH_LENGTH, IN_CHUNKS], ids=["length", "chunks"])
def test_an_answer_that_is_cut_at_any_byte_is_an_error(answer: bytes) -> None:
    cuts = [answer[:at] for at in range(len(answer))]
    with target_that_sends(*cuts) as client:
        for cut in cuts:
            with pytest.raises(TargetError) as raised:
                ask(client)
            assert type(raised.value) in (TargetCut, AnswerUnreadable), cut


@pytest.mark.parametrize("answer", [WITH_LENGTH, IN_CHUNKS], ids=["length", "chunks"])
def test_an_answer_that_is_not_cut_is_read(answer: bytes) -> None:
    with target_that_sends(answer) as client:
        assert ask(client)[1] == BODY


@pytest.mark.parametrize(
    "lines",
    [
        ["Content-Length: abc"],
        ["Content-Length: -5"],
        ["Content-Length: +5"],
        ["Content-Length: 1_0"],
        ["Content-Length: "],
        ["Content-Length: 5, 5"],
        ["Content-Length: 5", "Content-Length: 6"],
        ["Content-Length: 99999999999999999999"],
        [f"Content-Length: {'9' * 5000}"],
        ["Transfer-Encoding: gzip, chunked"],
        ["Transfer-Encoding: identity"],
        ["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"],
    ],
)
def test_a_length_that_cannot_be_read_is_the_targets_fault(lines: list[str]) -> None:
    answer = head("200 OK", *lines) + b"hello"
    with target_that_sends(answer) as client, pytest.raises(AnswerUnreadable) as raised:
        ask(client)

    assert (raised.value.status, raised.value.code) == (502, "answer_unreadable")


def test_two_equal_lengths_become_one() -> None:
    lines = ["Content-Length: 5", "content-length: 5"]
    with target_that_sends(head("200 OK", *lines) + b"hello") as client:
        assert ask(client) == (Head(200, [("Content-Length", "5")]), b"hello")


def test_a_length_next_to_chunks_is_dropped() -> None:
    lines = ["Content-Length: 3", CHUNKED]
    with target_that_sends(head("200 OK", *lines) + chunked(b"hello")) as client:
        answered, body = ask(client)

    assert body == b"hello"
    assert "content-length" not in [name.lower() for name, _ in answered.headers]


@pytest.mark.parametrize(
    "answer", [b"nonsense\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n", b"HTTP/2 200\r\n\r\n", b"\x16\x03\x01"]
)
def test_bytes_that_are_not_http_are_the_targets_fault(answer: bytes) -> None:
    with target_that_sends(answer) as client, pytest.raises(TargetError):
        ask(client)


def test_interim_responses_are_not_the_answer() -> None:
    interim = head("100 Continue") + head("103 Early Hints", "Link: </x>") + head("102 Processing")
    with target_that_sends(interim + WITH_LENGTH) as client:
        answered, body = ask(client)

    assert (answered.status, body) == (200, BODY)


@pytest.mark.parametrize("status", ["100 Continue", "103 Early Hints"])
def test_a_flood_of_interim_responses_is_no_answer(status: str) -> None:
    with target_that_sends(head(status) * 5000) as client, pytest.raises(AnswerUnreadable):
        ask(client)


def test_a_connection_serves_again_after_a_chunked_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with server.accept()[0] as connection:  # one, for both requests
                for _ in range(2):
                    read_request(connection)
                    connection.sendall(IN_CHUNKS)

        threading.Thread(target=serve, daemon=True).start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        spec = TargetSpec(name="gpu", url=url, slots=1)
        with closing(TargetClient(spec, silence_s=10, connections=1)) as client:
            assert [ask(client)[1] for _ in range(2)] == [BODY, BODY]
