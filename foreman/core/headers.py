"""Which headers pass through foreman, in each direction, and which query: what is named here.

To a target go the headers that Ollama, or its cloud service, reads. They are stored with a job,
so nothing that may be a secret is among them: credentials have too many names to list. What
negotiates the form of an answer (encoding, ranges, conditions) is left out, too: foreman reads
the answers, cuts them into frames and adds to them, and may ignore all of it.
From a target come the headers that describe the body and those that SDKs read. Nothing else of it
speaks to the client, or to the proxies in between, in foreman's name.
"""

import re
from collections.abc import Iterable

from foreman.core.frames import Headers

JOB_ID = "X-Foreman-Job-Id"
TARGET = "X-Foreman-Target"
CLIENT = "X-Foreman-Client"  # who asks, a filter of lists
PRIORITY = "X-Foreman-Priority"  # of a synchronous request, see `core.priority`
CHANGED = "X-Foreman-Changed"  # what foreman changed in the request's body

# What follows the language is for ollama.com: Ollama passes it on with requests for cloud models.
# The x-stainless-* names are those of Ollama's own CORS rules.
_TO_TARGET = frozenset(
    {
        "content-type",
        "content-encoding",
        "accept",
        "accept-language",
        "user-agent",
        "traceparent",
        "tracestate",
        "x-request-id",
        "anthropic-beta",
        "anthropic-version",
        "openai-beta",
        "x-stainless-arch",
        "x-stainless-async",
        "x-stainless-custom-poll-interval",
        "x-stainless-helper-method",
        "x-stainless-lang",
        "x-stainless-os",
        "x-stainless-package-version",
        "x-stainless-poll-helper",
        "x-stainless-retry-count",
        "x-stainless-runtime",
        "x-stainless-runtime-version",
        "x-stainless-timeout",
    }
)
# Ollama's own client signs with `ts`, Anthropic's marks its beta routes. The server reads the query
# of one route: the fields of its form may be there.
_QUERY = re.compile(r"ts=\d{1,19}|beta=(?:true|false)", re.ASCII)
_FORM_PATH = "/v1/audio/transcriptions"
_FORM_QUERY = re.compile(r"(?:model|language|prompt|response_format)=.*")
_TO_CLIENT = frozenset(
    {
        "allow",
        "cache-control",
        "content-encoding",
        "content-language",
        "content-length",
        "content-type",
        "request-id",
        "retry-after",
        "retry-after-ms",
        "x-request-id",
        "x-should-retry",
    }
)


def for_target(headers: Iterable[tuple[str, str]]) -> Headers:
    """The client's headers as a target gets them, and as they are stored."""
    return [(name, value) for name, value in headers if name.lower() in _TO_TARGET]


def query_for_target(query: str, path: str) -> str:
    """The part of a client's query that a route's target gets, and that is stored."""
    passed = _FORM_QUERY if path == _FORM_PATH else _QUERY
    return "&".join(pair for pair in query.split("&") if passed.fullmatch(pair))


def of_target(headers: Iterable[tuple[str, str]]) -> Headers:
    """A target's headers that may leave foreman, each once: the first one counts."""
    passed: dict[str, tuple[str, str]] = {}
    for name, value in headers:
        if name.lower() in _TO_CLIENT:
            passed.setdefault(name.lower(), (name, value))
    return list(passed.values())


def for_client(headers: Iterable[tuple[str, str]]) -> Headers:
    """An answer's headers as the client gets them: a target's, and what foreman changed."""
    given = list(headers)
    changed = [(name, value) for name, value in given if name.lower() == CHANGED.lower()]
    return [*of_target(given), *changed]


def with_change(headers: Headers, change: str) -> Headers:
    """An answer's headers with one more change named; "" is none."""
    if not change:
        return headers
    told = [value for name, value in headers if name.lower() == CHANGED.lower()]
    others = [pair for pair in headers if pair[0].lower() != CHANGED.lower()]
    return [*others, (CHANGED, ", ".join([*told, change]))]


def find(headers: Iterable[tuple[str, str]], name: str) -> str | None:
    """The first value of a header, by its name in any case."""
    return next((value for key, value in headers if key.lower() == name), None)
