"""A target's own sentence, in any dialect."""

import pytest

from foreman.core.target_words import LIMIT_CHARS, error_words


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"error":"model \'m\' not found"}', "model 'm' not found"),
        (b'{"error":{"message":"no such model","type":"not_found_error"}}', "no such model"),
        (b'{"type":"error","error":{"type":"x","message":"bad"}}', "bad"),
        (b"405 method not allowed\n", "405 method not allowed"),
        (b'{"error":{}}', '{"error":{}}'),
        (b'["error"]', '["error"]'),
        (b"", "the target gave no reason"),
        (b"\xff", "\ufffd"),
    ],
)
def test_the_words_are_found(body: bytes, words: str) -> None:
    assert error_words(body) == words


@pytest.mark.parametrize("body", [b"x" * 10_000_000, b'{"error":"' + b"x" * 1_000_000 + b'"}'])
def test_a_long_speech_is_cut(body: bytes) -> None:
    assert error_words(body) == "x" * LIMIT_CHARS
