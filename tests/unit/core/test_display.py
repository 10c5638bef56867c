"""Text from outside as people may see it."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreman.core.display import printable, url_without_query

BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ü 日本 👍🏽", "plain ü 日本 👍🏽"),
        ("two\r\nlines\tand\x0ba tab", "two lines and a tab"),
        ("\x1b[31mred\x1b[0m", "�[31mred�[0m"),
        ("\x1b]0;title\x07", "�]0;title�"),
        ("\x9b31mred", "�31mred"),
        ("a\0b\x7fc", "a�b�c"),
        ("abc\u202egnp.exe", "abc�gnp.exe"),
        ("line\u2028separator", "line separator"),
    ],
)
def test_what_could_steer_a_terminal_is_replaced(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text())
def test_no_control_and_no_mark_of_direction_is_left(text: str) -> None:
    shown = printable(text)

    assert not [each for each in shown if unicodedata.category(each) == "Cc" or each in BIDI]
    assert printable(shown) == shown


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://a.example/hooks", "https://a.example/hooks"),
        ("https://a.example/hooks?token=x&y=z", "https://a.example/hooks?…"),
        ("http://[::1]:9000/?x", "http://[::1]:9000/?…"),
    ],
)
def test_the_query_of_a_url_is_left_out(url: str, shown: str) -> None:
    assert url_without_query(url) == shown
