"""Skip a string that must be base64, as Go's standard encoding reads it: line ends do not count."""

import re

from foreman.core.reading.scan import QUOTE, WINDOW_BYTES, Scan, Steps, WrongType

_SYMBOLS = re.compile(rb"(?:[A-Za-z0-9+/]++|(?=\\/)..)*+")
_ESCAPE = re.compile(rb"\\(?:([nr])|u00([0-7][0-9A-Fa-f]))")
_NO_SYMBOL = {"n": "\n", "r": "\r"}


def base64_text(scan: Scan) -> Steps:
    """Skip the string that begins here; WrongType when it is not base64."""
    scan.at += 1
    count, padding = 0, 0
    while True:
        began = scan.at
        found = _SYMBOLS.match(scan.data, began, began + WINDOW_BYTES)
        assert found is not None  # it may be empty
        scan.at = found.end()
        symbols = scan.at - began - scan.data.count(b"\\", began, scan.at)
        if scan.is_due(1 + symbols // 64):
            yield
        character = "" if symbols else _other(scan)
        if character == '"':
            break
        if character == "=":
            padding += 1
        elif character not in ("", "\n", "\r"):
            symbols = 1
        if symbols and padding:
            raise WrongType("base64 data continues after its padding")
        count += symbols
    if padding > 2 or (count + padding) % 4 or (padding and count % 4 == 0):
        raise WrongType("base64 data is incomplete")


def _other(scan: Scan) -> str:
    """Skip one character that is no plain symbol."""
    mark = scan.peek()
    if mark == QUOTE or mark == ord("="):
        scan.at += 1
        return chr(mark)
    escape = _ESCAPE.match(scan.data, scan.at, scan.at + 6)
    if escape is None:
        raise WrongType("a string is not valid base64")
    scan.at = escape.end()
    if escape[1]:
        return _NO_SYMBOL[escape[1].decode()]
    character = chr(int(escape[2], 16))
    if character == '"' or not (
        character.isascii() and (character.isalnum() or character in "+/=\r\n")
    ):
        raise WrongType("a string is not valid base64")
    return character
