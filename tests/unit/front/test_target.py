"""A request's target is read as Go reads it."""

import pytest

from foreman.front.target import in_ascii, origin_form


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/a/b?c=d", ("/a/b?c=d", None)),
        ("/a#b?c", ("/a#b?c", None)),
        ("//host/a", ("//host/a", None)),
        ("/http://host/a", ("/http://host/a", None)),
        ("*", ("*", None)),
        ("http://host/a?b", ("/a?b", "host")),
        ("HTTPS://host:80/a", ("/a", "host:80")),
        ("http://host", ("/", "host")),
        ("http://host?a=/b", ("/?a=/b", "host")),
        ("http://user:word@host/a", ("/a", "host")),
        ("http://[::1]:80/a", ("/a", "[::1]:80")),
        ("http:///a", ("/a", "")),
    ],
)
def test_a_target_has_one_path_and_perhaps_a_host(
    target: str, expected: tuple[str, str | None]
) -> None:
    assert origin_form(target) == expected


def test_bytes_beyond_ascii_are_escaped_and_nothing_else() -> None:
    assert in_ascii("GET /é?%C3 HTTP/1.1".encode()) == b"GET /%C3%A9?%C3 HTTP/1.1"
