"""Origins: foreman's answers beside those of gin-contrib/cors 1.7.2 as Ollama sets it up."""

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from foreman.api import cors, errors, hosts

LOCAL, ELSEWHERE = "127.0.0.1", "0.0.0.0"
HOST = "127.0.0.1:11435"


def ask(
    origin: str | None,
    *,
    method: str = "GET",
    host: str = HOST,
    bound_to: str = LOCAL,
    names: tuple[str, ...] = (),
    origins: tuple[str, ...] = (),
    site: str | None = None,
) -> TestResponse:
    app = Flask("cors", static_folder=None)
    known = hosts.HostNames(bound_to, names)
    hosts.install(app, known)
    cors.install(app, origins, known)
    errors.install(app)
    app.add_url_rule("/", "root", lambda: "ok", methods=["GET", "POST", "DELETE", "OPTIONS"])
    environ = {"HTTP_HOST": host}
    environ |= {} if origin is None else {"HTTP_ORIGIN": origin}
    environ |= {} if site is None else {"HTTP_SEC_FETCH_SITE": site}
    return app.test_client().open("/", method=method, environ_overrides=environ)


# Origin, Ollama's status for GET, its Access-Control-Allow-Origin
AS_OLLAMA = [
    (None, 200, None),
    ("", 200, None),
    ("null", 403, None),
    (f"http://{HOST}", 200, f"http://{HOST}"),
    (f"https://{HOST}", 200, f"https://{HOST}"),
    ("http://127.0.0.1", 200, "http://127.0.0.1"),
    ("https://127.0.0.1", 200, "https://127.0.0.1"),
    ("http://127.0.0.1:1", 200, "http://127.0.0.1:1"),
    ("HTTP://127.0.0.1:11435", 403, None),
    ("http://localhost", 200, "http://localhost"),
    ("https://localhost:99", 200, "https://localhost:99"),
    ("http://LOCALHOST", 403, None),
    ("http://0.0.0.0:8080", 200, "http://0.0.0.0:8080"),
    ("http://localhost.evil.example", 403, None),
    ("http://[::1]:11435", 403, None),
    ("http://192.168.1.5", 403, None),
    ("http://evil.example", 403, None),
    ("https://evil.example/http://localhost", 403, None),
    (HOST, 403, None),
    ("*", 403, None),
    ("app://x", 200, "app://x"),
    ("file://", 200, "file://"),
    ("tauri://localhost", 200, "tauri://localhost"),
    ("vscode-webview://a", 200, "vscode-webview://a"),
    ("chrome-extension://abc", 403, None),
    ("capacitor://localhost", 403, None),
    (f"app://{'x' * 300}", 403, None),  # no Origin is so long; Ollama would search through it
]


@pytest.mark.parametrize(("origin", "status", "allowed"), AS_OLLAMA)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_an_origin_is_answered_as_by_ollama(
    origin: str | None, status: int, allowed: str | None, method: str
) -> None:
    answer = ask(origin, method=method)

    assert answer.status_code == status
    assert answer.headers.get("Access-Control-Allow-Origin") == allowed


@pytest.mark.parametrize("origin", ["http://localhost", "app://x", f"http://{HOST}"])
def test_a_preflight_of_an_allowed_origin_is_answered(origin: str) -> None:
    answer = ask(origin, method="OPTIONS")

    assert (answer.status_code, answer.data) == (204, b"")


def test_a_preflight_of_another_origin_is_refused() -> None:
    assert ask("http://evil.example", method="OPTIONS").status_code == 403


NAMED = {"host": "foreman.example:443", "bound_to": ELSEWHERE}


@pytest.mark.parametrize("origin", ["http://foreman.example:443", "https://foreman.example:443"])
def test_an_origin_like_a_host_that_is_checked_passes_in_both_schemes(origin: str) -> None:
    host = "foreman.example:443"

    assert ask(origin, host=host, bound_to=ELSEWHERE, names=("foreman.example",)).status_code == 200


@pytest.mark.parametrize("origin", ["http://foreman.example:443", "https://foreman.example:443"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_origin_like_a_host_that_nobody_checked_is_refused(origin: str, method: str) -> None:
    answer = ask(origin, method=method, host="foreman.example:443", bound_to=ELSEWHERE)

    assert answer.status_code == 403
    assert b"FOREMAN_HOSTS" in answer.data


def test_an_origin_like_a_host_that_is_an_address_passes() -> None:
    host = "192.168.1.5:11435"

    assert ask(f"http://{host}", host=host, bound_to=ELSEWHERE).status_code == 200


def test_an_origin_of_the_setting_passes_whatever_the_host() -> None:
    origin, host = "https://ui.example", "foreman.example"

    answer = ask(origin, method="POST", host=host, bound_to=ELSEWHERE, origins=(origin,))

    assert answer.headers["Access-Control-Allow-Origin"] == origin


@pytest.mark.parametrize("origin", [None, "", "http://192.168.1.5:1"])
@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_a_change_from_another_site_needs_an_allowed_origin(
    origin: str | None, method: str
) -> None:
    answer = ask(origin, method=method, host="192.168.1.5:1", bound_to=ELSEWHERE, site="cross-site")

    assert answer.status_code == 403


@pytest.mark.parametrize("origin", ["http://localhost:3000", "file://"])
def test_a_change_from_another_site_passes_with_an_allowed_origin(origin: str) -> None:
    assert ask(origin, method="POST", site="cross-site").status_code == 200


@pytest.mark.parametrize("site", ["same-origin", "same-site", "none", None, "something-new"])
def test_a_change_from_this_site_or_from_no_page_passes(site: str | None) -> None:
    assert ask(None, method="POST", site=site).status_code == 200


def test_a_link_from_another_site_can_be_followed() -> None:
    answer = ask(None, site="cross-site")

    assert answer.status_code == 200
    assert "Access-Control-Allow-Origin" not in answer.headers
