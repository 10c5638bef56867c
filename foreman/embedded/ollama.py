"""Which Ollama to stand in front of: the user's, or the machine's."""

import json
from collections.abc import Mapping
from urllib.parse import urlsplit

from foreman.embedded import probe

LOCAL = "http://127.0.0.1:11434"
NO_ADDRESS = {"", "0.0.0.0", "::"}  # OLLAMA_HOST of a server: every interface


def host_url(text: str) -> str | None:
    """Read OLLAMA_HOST as Ollama does (`host`, `:port`, `host:port`, `http://…`), or None."""
    text = text.strip().strip("\"'")
    if not text:
        return None
    scheme, separator, rest = text.partition("://")
    scheme, rest = (scheme, rest) if separator else ("http", text)
    try:
        parts = urlsplit(f"{scheme}://{rest}")
        default = {"http": 80, "https": 443}[scheme] if separator else 11434
        port = parts.port or default
    except (KeyError, ValueError):
        return None
    host = parts.hostname or ""
    host = "127.0.0.1" if host in NO_ADDRESS else host
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def find(environ: Mapping[str, str]) -> str:
    """Return the URL of an Ollama, the user's choice before the machine's own.

    The first that answers; the first of all where none does yet.
    """
    urls = [url for url in (host_url(environ.get("OLLAMA_HOST", "")), LOCAL) if url]
    return next((url for url in urls if is_ollama(url)), urls[0])


def is_ollama(url: str, authorization: str | None = None) -> bool:
    """Whether an Ollama answers there, with these credentials."""
    answer = probe.get(f"{url}/api/version", authorization=authorization)
    return answer is not None and answer.status == 200 and b'"version"' in answer.body


def is_foreman(url: str) -> bool:
    """Whether another foreman answers there, in the place of an Ollama."""
    answer = probe.get(f"{url}/readyz")
    return answer is not None and b'"live_targets"' in answer.body


def a_model(url: str, authorization: str | None = None) -> str | None:
    """Return a model of this Ollama to try, rather not one for embeddings; None if it has none."""
    answer = probe.get(f"{url}/api/tags", authorization=authorization)
    if answer is None or answer.status != 200:
        return None
    try:
        names = [str(model["name"]) for model in json.loads(answer.body)["models"] or []]
    except (ValueError, KeyError, TypeError):
        return None
    return min(names, key=lambda name: "embed" in name, default=None)
