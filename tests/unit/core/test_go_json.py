"""JSON in Go's spelling."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreman.core.go_json import Raw, integer, ordered, read, read_outline, write
from tests.golden_contract import EXCHANGES

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
GO_WROTE = [
    line
    for exchange in EXCHANGES
    if "json" in exchange.answer.headers.get("content-type", "")
    for line in exchange.answer.body.splitlines()
]


@given(VALUES)
def test_what_is_written_is_read_again(value: object) -> None:
    assert read(write(value)) == value
    assert json.loads(write(value)) == value


@pytest.mark.parametrize("text", ["0.1", "1e-7", "1E400", "-0.0", "1.50", "[1,1.0]", '{"a":2e3}'])
def test_a_number_keeps_its_spelling(text: str) -> None:
    assert write(read(text.encode())) == text.encode()


def test_what_go_wrote_is_written_as_go_wrote_it() -> None:
    assert len(GO_WROTE) > 100
    for line in GO_WROTE:
        assert write(read(line.encode())).decode() == line


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("<&>", '"\\u003c\\u0026\\u003e"'),
        ("\u2028\u2029", '"\\u2028\\u2029"'),
        ('"\\/', '"\\"\\\\/"'),
        ("\n\r\t\b\f\0\x7f", '"\\n\\r\\t\\b\\f\\u0000\x7f"'),
        ("é🦙", '"é🦙"'),
        ([], "[]"),
        ({}, "{}"),
        ([True, 1, None], "[true,1,null]"),
        ({"<": Raw("[ 1 ]")}, '{"\\u003c":[ 1 ]}'),
    ],
)
def test_the_escapes_are_those_of_go(value: object, written: str) -> None:
    assert write(value).decode() == written


def test_two_halves_of_a_pair_come_together_and_half_a_pair_is_replaced() -> None:
    assert write("\ud83e" + "\udd99").decode() == '"🦙"'
    assert write("a\ud83eb\udd99").decode() == '"a\ufffdb\ufffd"'


def test_bytes_that_are_no_utf8_are_replaced() -> None:
    assert read(b'"\xff"') == "\ufffd"


@pytest.mark.parametrize("text", [b"", b"{", b"{'a':1}", b"NaN", b"Infinity", b"1 2", b"\xef"])
def test_what_is_no_json_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"Expect|Extra|not JSON"):
        read(text)


def test_what_is_nested_too_deeply_is_refused() -> None:
    deep: object = []
    for _ in range(5000):
        deep = [deep]

    with pytest.raises(ValueError, match="nested"):
        write(deep)
    with pytest.raises(ValueError, match="nested"):
        read(b"[" * 100_000 + b"]" * 100_000)


def test_known_fields_go_first_and_the_others_keep_their_order() -> None:
    given_fields: dict[str, object] = {"z": 1, "b": 2, "y": 3, "a": 4}

    assert list(ordered(given_fields, ("a", "b", "c"))) == ["a", "b", "z", "y"]


@pytest.mark.parametrize(("value", "found"), [(7, 7), (True, None), (2**63, None), ("7", None)])
def test_an_integer_is_one_of_64_bits(value: object, found: int | None) -> None:
    assert integer(value) == found


LONG = 64 * 1024


@pytest.mark.parametrize("before", range(LONG - 3, LONG + 2))
@pytest.mark.parametrize("mark", ["\ud83e\udd99", "\ud83e", "é<\u2028", '"\\', "\n"])
def test_a_long_text_is_written_like_a_short_one(before: int, mark: str) -> None:
    text = "x" * before + mark + "y" * LONG

    written = write({"a": [text, mark]})

    short = write(mark)[1:-1]
    assert written == b'{"a":["%s%s%s","%s"]}' % (b"x" * before, short, b"y" * LONG, short)


def test_an_outline_has_everything_but_fractions() -> None:
    body = b'{"a":[0.25,-1e9,7],"b":"0.5","c":{"d":null}}'

    assert read_outline(body) == {"a": [0.0, 0.0, 7], "b": "0.5", "c": {"d": None}}
