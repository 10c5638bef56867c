"""The length of an answer by its headers, as Go reads them."""

import pytest

from foreman.core.frames import Headers
from foreman.core.lengths import promised_length, with_one_length

KIND = ("Content-Type", "text/plain")
CHUNKED = ("Transfer-Encoding", "Chunked")


@pytest.mark.parametrize(
    ("headers", "length"),
    [
        ([KIND], None),
        ([KIND, ("content-length", " 5 ")], 5),
        ([("Content-Length", "0")], 0),
        ([("Content-Length", "05")], 5),
        ([("Content-Length", "5"), KIND, ("Content-Length", "5")], 5),
        ([("Content-Length", str(2**63 - 1))], 2**63 - 1),
        ([CHUNKED, ("Content-Length", "5")], None),
    ],
)
def test_a_length_is_read_once(headers: Headers, length: int | None) -> None:
    settled = with_one_length(headers)

    assert promised_length(settled) == length
    assert [name.lower() for name, _ in settled].count("content-length") == (length is not None)
    assert (KIND in settled) == (KIND in headers)


@pytest.mark.parametrize(
    "headers",
    [
        [("Content-Length", text)]
        for text in ["", "abc", "-1", "+1", "1.0", "0x5", "1_0", "5, 5", "\u0665", str(2**63)]
    ]
    + [
        [("Content-Length", "5"), ("Content-Length", "6")],
        [("Content-Length", "9" * 5000)],
        [("Content-Length", "0" * 5000)],
        [CHUNKED, CHUNKED],
        [("Transfer-Encoding", "gzip, chunked")],
        [("Transfer-Encoding", "identity")],
        [CHUNKED, ("Content-Length", "abc")],
    ],
)
def test_headers_that_contradict_themselves_are_refused(headers: Headers) -> None:
    with pytest.raises(ValueError, match=r"Content-Length|Transfer-Encoding"):
        with_one_length(headers)
