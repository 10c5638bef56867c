"""Errors of foreman's own, as whole answers: one line that every client takes for an error."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreman.core.frames import Failure
from foreman.core.replies import CONTENT_TYPES, KEEPALIVES, Framing, error_body, framing_of
from foreman.core.surface import Dialect
from tests.factories import failure

dialects = st.sampled_from(Dialect)
failures = st.builds(Failure, st.integers(400, 599), st.text(max_size=20), st.text())


def body_of(dialect: Dialect, *, status: int = 500, request_id: str = "") -> dict[str, Any]:
    read: dict[str, Any] = json.loads(
        error_body(dialect, failure(status=status), request_id=request_id)
    )
    return read


def words_of(dialect: Dialect, body: bytes) -> object:
    """The message where a client of that dialect looks for it."""
    error = json.loads(body)["error"]
    return error if dialect is Dialect.OLLAMA else error["message"]


@given(dialect=dialects, failed=failures)
def test_an_error_is_one_line_of_ascii_and_says_what_was_to_be_said(
    dialect: Dialect, failed: Failure
) -> None:
    body = error_body(dialect, failed)

    assert body.isascii()
    assert len(body.decode().splitlines()) == 1
    assert words_of(dialect, body) == failed.message


@pytest.mark.parametrize("text", ["", "\n", "\r\n", "\u2028", "\u0085", '"', "\ud800", "\0", "é"])
@pytest.mark.parametrize("dialect", Dialect)
def test_no_text_can_break_the_line(dialect: Dialect, text: str) -> None:
    body = error_body(dialect, failure(text))

    assert len(body.decode("ascii").splitlines()) == 1
    assert words_of(dialect, body) == text


def test_an_error_is_compact() -> None:
    assert error_body(Dialect.OLLAMA, failure("boom")) == b'{"error":"boom"}'


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (404, "not_found_error"),
        (429, "api_error"),
        (500, "api_error"),
        (503, "api_error"),
        (504, "api_error"),
    ],
)
def test_the_openai_form_has_the_type_that_ollama_gives(status: int, kind: str) -> None:
    error = body_of(Dialect.OPENAI, status=status)["error"]

    assert set(error) == {"message", "type", "param", "code"}
    assert (error["type"], error["param"]) == (kind, None)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (404, "not_found_error"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (503, "overloaded_error"),
    ],
)
def test_the_anthropic_form_has_the_type_that_ollama_gives(status: int, kind: str) -> None:
    body = body_of(Dialect.ANTHROPIC, status=status, request_id="req_1")

    error = {"type": kind, "message": "boom"}
    assert body == {"type": "error", "error": error, "request_id": "req_1"}


@pytest.mark.parametrize(
    ("dialect", "streams", "framing"),
    [
        (Dialect.OLLAMA, True, Framing.LINES),
        (Dialect.OLLAMA, False, Framing.WHOLE),
        (Dialect.OPENAI, True, Framing.EVENTS),
        (Dialect.OPENAI, False, Framing.WHOLE),
        (Dialect.ANTHROPIC, True, Framing.EVENTS),
        (Dialect.ANTHROPIC, False, Framing.WHOLE),
    ],
)
def test_a_stream_is_cut_as_its_dialect_cuts_it(
    dialect: Dialect, streams: bool, framing: Framing
) -> None:
    assert framing_of(dialect, streams=streams) is framing


def test_content_types_and_keep_alives_are_those_of_the_design() -> None:
    assert CONTENT_TYPES[Framing.LINES] == "application/x-ndjson"
    assert CONTENT_TYPES[Framing.EVENTS] == "text/event-stream"
    assert CONTENT_TYPES[Framing.WHOLE].startswith("application/json")
    assert KEEPALIVES[Framing.LINES] == KEEPALIVES[Framing.WHOLE] == b" "
    assert KEEPALIVES[Framing.EVENTS].startswith(b": queued\n")
