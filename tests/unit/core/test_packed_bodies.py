"""Request bodies that are not plain JSON: multipart forms of /v1/audio, zstd of /v1."""

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from foreman.core.bodies import TRANSCRIPTIONS, Look, look
from foreman.core.reading.packed import SIZE_LIMIT_BYTES

FORM = "multipart/form-data; boundary=edge"


def part(name: str, value: bytes, *, filename: str = "") -> bytes:
    attachment = f'; filename="{filename}"' if filename else ""
    head = f'--edge\r\nContent-Disposition: form-data; name="{name}"{attachment}\r\n\r\n'
    return head.encode() + value + b"\r\n"


def form(*parts: bytes, content_type: str = FORM) -> Look | None:
    body = b"".join(parts) + b"--edge--\r\n"
    return look(body, TRANSCRIPTIONS, content_type=content_type)


def packed(body: bytes) -> Look | None:
    return look(body, "/v1/chat/completions", content_encoding="zstd")


def zstd(body: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(body)


def test_a_form_names_its_model_in_a_field() -> None:
    looked = form(part("file", b"RIFF", filename="a.wav"), part("model", b"whisper"))

    assert looked == Look("whisper", streams=False)


@pytest.mark.parametrize(
    "content_type",
    [
        'multipart/form-data; boundary="edge"',
        "Multipart/Form-Data; BOUNDARY=edge",
        "multipart/form-data; charset=utf-8; boundary=edge",
    ],
)
def test_the_header_of_a_form_may_be_written_as_http_allows(content_type: str) -> None:
    assert form(part("model", b"m"), content_type=content_type) == Look("m", streams=False)


@pytest.mark.parametrize(
    "content_type", ["multipart/form-data", "multipart/form-data; boundary=", "multipart/mixed"]
)
def test_a_form_without_a_boundary_cannot_be_placed(content_type: str) -> None:
    assert form(part("model", b"m"), content_type=content_type) is None


def test_a_form_without_a_model_cannot_be_placed() -> None:
    forms = [form(), form(part("file", b"RIFF", filename="a.wav")), form(part("model", b""))]

    assert forms == [None] * 3


def test_a_file_that_looks_like_a_field_is_a_file() -> None:
    bait = b'\r\nContent-Disposition: form-data; name="model"\r\n\r\nbait\r\n'

    looked = form(part("file", bait, filename="a.wav"), part("model", b"m"))

    assert looked == Look("m", streams=False)


@given(audio=st.binary(max_size=300).filter(lambda audio: b"--edge" not in audio))
def test_the_bytes_of_a_file_do_not_matter(audio: bytes) -> None:
    looked = form(part("file", audio, filename="a.wav"), part("model", b"m"))

    assert looked == Look("m", streams=False)


@given(cut=st.integers(0, 200))
def test_a_form_that_is_cut_short_breaks_nothing(cut: int) -> None:
    whole = part("file", b"RIFF", filename="a.wav") + part("model", b"m") + b"--edge--\r\n"

    looked = look(whole[:cut], TRANSCRIPTIONS, content_type=FORM)

    assert looked in (None, Look("m", streams=False))


def test_a_packed_body_is_looked_into() -> None:
    assert packed(zstd(b'{"model":"m","stream":true}')) == Look("m", streams=True)


def test_a_body_packed_in_several_frames_is_one_body() -> None:
    assert packed(zstd(b'{"model":') + zstd(b'"m"}')) == Look("m", streams=False)


@pytest.mark.parametrize(
    "body", [b"", b"\x28\xb5\x2f\xfd", b'{"model":"m"}', b"\x28\xb5\x2f\xfd" * 9]
)
def test_a_body_that_cannot_be_unpacked_cannot_be_placed(body: bytes) -> None:
    assert packed(body) is None


def test_a_packed_body_may_have_twenty_mib() -> None:
    body = b'{"model":"m","x":"'
    largest = body + b" " * (SIZE_LIMIT_BYTES - len(body) - 2) + b'"}'

    assert len(largest) == 20 * 1024 * 1024
    assert packed(zstd(largest)) == Look("m", streams=False)


def test_a_packed_body_over_twenty_mib_cannot_be_placed() -> None:
    bomb = zstd(b'{"model":"m"}' + b" " * SIZE_LIMIT_BYTES)

    assert len(bomb) < 10_000
    assert packed(bomb) is None


@given(cut=st.integers(1, 60))
def test_a_packed_body_that_is_cut_short_cannot_be_placed(cut: int) -> None:
    whole = zstd(
        b'{"model":"m","x":"%b"}' % bytes(range(32, 127)).replace(b'"', b"").replace(b"\\", b"")
    )

    assert packed(whole) == Look("m", streams=False)
    assert packed(whole[:-cut]) is None


def test_what_follows_the_frames_of_a_packed_body_must_be_one() -> None:
    assert packed(zstd(b'{"model":"m"}') + b"{}") is None


@pytest.mark.parametrize("encoding", ["ZSTD", "zstd, gzip", "gzip", ""])
def test_only_the_one_spelling_that_ollama_knows_is_unpacked(encoding: str) -> None:
    body = b'{"model":"m"}'

    assert look(body, "/v1/messages", content_encoding=encoding) == Look("m", streams=False)
    assert look(zstd(body), "/v1/messages", content_encoding=encoding) is None


@pytest.mark.parametrize("endpoint", ["/api/chat", "/api/generate", "/api/embed"])
def test_the_native_routes_unpack_nothing(endpoint: str) -> None:
    assert look(zstd(b'{"model":"m"}'), endpoint, content_encoding="zstd") is None
