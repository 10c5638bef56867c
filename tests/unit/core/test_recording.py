"""Chunks and their times, as lines."""

import json

from foreman.core.recording import Recording


def lines(recording: Recording) -> list[dict[str, object]]:
    return [json.loads(line) for line in bytes(recording).splitlines()]


def test_each_chunk_is_a_line_with_its_time() -> None:
    recording = Recording(1000)

    recording.add(b'{"a":1}\n', after_s=0.25)
    recording.add(b'{"b":2}\n', after_s=1.23456789)

    assert lines(recording) == [
        {"t": 0.25, "data": '{"a":1}\n'},
        {"t": 1.2346, "data": '{"b":2}\n'},
    ]


def test_a_character_cut_in_two_comes_whole() -> None:
    recording = Recording(1000)
    text = "a🦙b"
    for byte in text.encode():
        recording.add(bytes([byte]), after_s=0)

    assert "".join(str(line["data"]) for line in lines(recording)) == text


def test_what_is_no_text_is_still_a_line() -> None:
    recording = Recording(1000)

    recording.add(b"\xff\xfe", after_s=0)

    assert lines(recording) == [{"t": 0, "data": "\ufffd\ufffd"}]


def test_it_stops_at_the_limit_and_says_so() -> None:
    recording = Recording(60)

    for chunk in (b"x" * 20, b"y" * 20, b"z", b"z"):
        recording.add(chunk, after_s=0)

    assert lines(recording) == [{"t": 0, "data": "x" * 20}, {"cut": True}]
    assert len(bytes(recording)) <= 60
