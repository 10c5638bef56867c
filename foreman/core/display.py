"""Text from outside as people may see it, without what could steer a terminal or mislead an eye."""

import re
from urllib.parse import urlsplit

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_SPACES = re.compile(r"[\t-\r\x1c-\x1f\x85\u2028\u2029]+")
# C0 and C1, with the escape that begins ANSI sequences; marks and overrides of text direction.
_CONTROLS = re.compile(r"[\0-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")


def printable(text: str) -> str:
    """The text on one line, with no control character and none that turns its direction."""
    return _CONTROLS.sub(REPLACEMENT, _SPACES.sub(" ", text))


def url_without_query(url: str) -> str:
    """The URL with `…` for its query, which often holds a token."""
    parts = urlsplit(url)
    return parts._replace(query="…").geturl() if parts.query else url
