"""Ollama's route table (facts on Ollama, 1) and what foreman does with each route of it."""

import pytest

from foreman.core.surface import (
    ROUTES,
    Dialect,
    Route,
    RouteClass,
    WrongMethod,
    dialect_of,
    find_route,
)

QUEUED, BYPASS, FORWARDED = RouteClass.QUEUED, RouteClass.BYPASS, RouteClass.FORWARDED
MERGED, ADMIN = RouteClass.MERGED, RouteClass.ADMIN
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
DIGEST = "sha256:" + "0" * 64

# methods, path, class
OLLAMA = [
    ("GET HEAD", "/", FORWARDED),
    ("GET HEAD", "/api/version", FORWARDED),
    ("GET HEAD", "/api/tags", MERGED),
    ("GET", "/api/ps", MERGED),
    ("POST", "/api/show", FORWARDED),
    ("POST", "/api/create", ADMIN),
    ("POST", "/api/pull", ADMIN),
    ("POST", "/api/push", ADMIN),
    ("POST", "/api/copy", ADMIN),
    ("DELETE", "/api/delete", ADMIN),
    ("POST HEAD", f"/api/blobs/{DIGEST}", ADMIN),
    ("POST", "/api/generate", QUEUED),
    ("POST", "/api/chat", QUEUED),
    ("POST", "/api/embed", BYPASS),
    ("POST", "/api/embeddings", BYPASS),
    ("POST", "/v1/chat/completions", QUEUED),
    ("POST", "/v1/completions", QUEUED),
    ("POST", "/v1/embeddings", BYPASS),
    ("GET", "/v1/models", MERGED),
    ("GET", "/v1/models/tiny-a", FORWARDED),
    ("POST", "/v1/responses", QUEUED),
    ("POST", "/v1/messages", QUEUED),
    ("POST", "/v1/audio/transcriptions", QUEUED),
]

# Ollama has them, or other servers of its kind do; foreman has not decided to serve them.
REFUSED = [
    "/api/status", "/api/experimental/web_search", "/api/experimental/web_fetch",
    "/api/experimental/model-recommendations", "/api/me", "/api/signout", "/api/user/keys/x",
    "/v1/images/generations", "/v1/messages/count_tokens", "/metrics", "/debug/pprof/",
    "/api", "/api/", "/v1", "/v1/", "/api/unknown", "/API/CHAT", "/api/chat/x", "/api/blobs",
    "/api/blobs/a/b", "/v1/models/me/m", "/v1/audio", "/favicon.ico",
]  # fmt: skip


def serves(method: str, path: str) -> Route:
    route = find_route(method, path)
    assert isinstance(route, Route), route
    return route


@pytest.mark.parametrize(("methods", "path", "route_class"), OLLAMA)
def test_each_route_of_ollama_has_its_class(
    methods: str, path: str, route_class: RouteClass
) -> None:
    routes = [serves(method, path) for method in methods.split()]

    assert {route.route_class for route in routes} == {route_class}


@pytest.mark.parametrize(("methods", "path", "route_class"), OLLAMA)
def test_any_other_method_is_refused_and_the_right_ones_are_named(
    methods: str, path: str, route_class: RouteClass
) -> None:
    others = [method for method in METHODS if method not in methods.split()]
    answers = [find_route(method, path) for method in others]

    for answer in answers:
        assert isinstance(answer, WrongMethod)
        assert set(answer.allowed) == set(methods.split())


@pytest.mark.parametrize("path", REFUSED)
def test_what_is_not_in_the_table_is_refused(path: str) -> None:
    assert [find_route(method, path) for method in METHODS] == [None] * len(METHODS)


def test_the_table_serves_nothing_that_ollama_does_not_have() -> None:
    known = {path.removesuffix("tiny-a").removesuffix(DIGEST) for _, path, _ in OLLAMA}

    assert {route.path for route in ROUTES} == known


@pytest.mark.parametrize(
    ("path", "dialect"),
    [
        ("/", Dialect.OLLAMA),
        ("/api/chat", Dialect.OLLAMA),
        ("/api/nothing", Dialect.OLLAMA),
        ("/v1/chat/completions", Dialect.OPENAI),
        ("/v1/models", Dialect.OPENAI),
        ("/v1/nothing", Dialect.OPENAI),
        ("/v1/messages", Dialect.ANTHROPIC),
    ],
)
def test_errors_are_in_the_language_of_the_path(path: str, dialect: Dialect) -> None:
    assert dialect_of(path) is dialect


def test_a_route_and_its_path_speak_the_same_language() -> None:
    assert [route.dialect for route in ROUTES] == [dialect_of(route.path) for route in ROUTES]


def test_a_merged_answer_knows_the_field_of_its_list() -> None:
    fields = {route.path: route.list_key for route in ROUTES if route.route_class is MERGED}

    assert fields == {"/api/tags": "models", "/api/ps": "models", "/v1/models": "data"}
