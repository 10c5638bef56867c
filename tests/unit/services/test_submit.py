"""What a request costs to look into: a packed body may be far larger than it looks."""

from collections.abc import Generator
from typing import TypeVar

import pytest
import zstandard

from foreman.core.surface import Route, find_route
from foreman.services.submit import Request
from foreman.turns import SMALL_BYTES, Turns

T = TypeVar("T")
UNSIZED = zstandard.ZstdCompressor(write_content_size=False)
CHAT = b'{"model":"m","messages":[]}'


class NotedTurns(Turns):
    """Notes which bodies take one of the few places for large ones."""

    def __init__(self) -> None:
        super().__init__()
        self.were_large: list[bool] = []

    def run(self, steps: Generator[None, None, T], size_bytes: int) -> T:
        self.were_large.append(size_bytes > SMALL_BYTES)
        return super().run(steps, size_bytes)


def request(path: str, body: bytes, turns: Turns) -> Request:
    route = find_route("POST", path)
    assert isinstance(route, Route)
    headers = [("Content-Encoding", "zstd")]
    return Request(
        route=route, method="POST", path=path, query="", headers=headers, body=body, turns=turns
    )


@pytest.mark.parametrize(
    ("body", "is_large"),
    [
        (zstandard.compress(CHAT), False),
        (zstandard.compress(b" " * SMALL_BYTES + CHAT), True),
        # Several frames, of which none says how large it is.
        (UNSIZED.compress(b" " * 40_000) + UNSIZED.compress(b" " * 40_000 + CHAT), True),
    ],
)
def test_a_packed_body_counts_with_its_unpacked_size(body: bytes, is_large: bool) -> None:
    turns = NotedTurns()

    looked = request("/v1/chat/completions", body, turns).look

    assert looked is not None
    assert looked.model == "m"
    assert turns.were_large == [is_large]


def test_a_body_that_cannot_be_unpacked_is_no_large_one() -> None:
    turns = NotedTurns()

    assert request("/v1/chat/completions", b"no zstd", turns).look is None
    assert turns.were_large == [False]


def test_where_ollama_does_not_unpack_a_body_its_own_size_counts() -> None:
    turns = NotedTurns()

    assert request("/api/chat", CHAT, turns).look

    assert turns.were_large == [False]
