"""Which Ollama bin/run stands in front of."""

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from foreman.embedded import ollama
from foreman.embedded.probe import free_port

CREDENTIALS = "Basic dTpw"


@contextmanager
def an_http_server(answers: dict[str, bytes]) -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = answers.get(self.path)
            is_known = self.headers.get("Authorization") in (None, CREDENTIALS)
            self.send_response(401 if not is_known else 404 if body is None else 200)
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("gpu", "http://gpu:11434"),
        ("gpu:8000", "http://gpu:8000"),
        (":8000", "http://127.0.0.1:8000"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("0.0.0.0:8000", "http://127.0.0.1:8000"),
        ("http://gpu", "http://gpu:80"),
        ("https://gpu/", "https://gpu:443"),
        ("http://gpu:8000/ollama", "http://gpu:8000"),
        ("[::1]:8000", "http://[::1]:8000"),
        ("[::]:8000", "http://127.0.0.1:8000"),
        (' "gpu" ', "http://gpu:11434"),
    ],
)
def test_ollama_host_is_read_as_ollama_reads_it(text: str, url: str) -> None:
    assert ollama.host_url(text) == url


@pytest.mark.parametrize("text", ["", "  ", "ftp://gpu", "gpu:port", "gpu:99999", "http://[gpu"])
def test_an_ollama_host_that_is_no_address_is_passed_over(text: str) -> None:
    assert ollama.host_url(text) is None


def test_the_ollama_of_the_environment_is_found_when_it_answers() -> None:
    with an_http_server({"/api/version": b'{"version": "0.33.1"}'}) as url:
        assert ollama.find({"OLLAMA_HOST": url}) == url


def test_where_none_answers_the_first_place_is_waited_for() -> None:
    taken = f"http://127.0.0.1:{free_port()}"
    assert ollama.find({"OLLAMA_HOST": taken}) == taken


def test_another_foreman_is_recognised() -> None:
    with an_http_server({"/readyz": b'{"live_targets": [], "ready": false}'}) as url:
        assert ollama.is_foreman(url)
    with an_http_server({"/api/version": b'{"version": "0.33.1"}'}) as url:
        assert not ollama.is_foreman(url)


def test_an_ollama_behind_a_proxy_is_asked_with_its_credentials() -> None:
    with an_http_server({"/api/version": b'{"version": "0.33.1"}'}) as url:
        assert ollama.is_ollama(url, CREDENTIALS)
        assert not ollama.is_ollama(url, "Basic other")


def test_another_http_server_is_no_ollama() -> None:
    with an_http_server({"/api/version": b"<html>"}) as url:
        assert not ollama.is_ollama(url)


def test_the_model_to_try_is_one_that_the_target_has_and_rather_a_chat_model() -> None:
    models = b'{"models": [{"name": "nomic-embed-text:v1.5"}, {"name": "qwen3:8b"}]}'
    with an_http_server({"/api/tags": models}) as url:
        assert ollama.a_model(url) == "qwen3:8b"


@pytest.mark.parametrize("body", [b'{"models": null}', b'{"models": []}', b"{}", b"no json"])
def test_a_target_without_models_has_none_to_try(body: bytes) -> None:
    with an_http_server({"/api/tags": body}) as url:
        assert ollama.a_model(url) is None
