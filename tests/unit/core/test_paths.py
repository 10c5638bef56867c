"""Spellings of paths: what Ollama's two routers make of them, and what a target receives.

The expected answers are those of gin 1.10 behind Go's http.ServeMux, with Ollama's route table.
"""

from posixpath import normpath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreman.core.paths import decoded, is_readable
from foreman.core.surface import (
    Elsewhere,
    Route,
    WrongMethod,
    find_route,
    path_at_target,
)
from tests.spellings import ADMIN_SPELLINGS

# method, path, where it is sent to
REDIRECTED = [
    ("POST", "/v1//chat/completions", "/v1/chat/completions", 307),
    ("GET", "/v1//chat/completions", "/v1/chat/completions", 307),
    ("POST", "/api//chat", "/api/chat", 307),
    ("POST", "//api/chat", "/api/chat", 307),
    ("POST", "///api/chat", "/api/chat", 307),
    ("GET", "//api/tags", "/api/tags", 307),
    ("POST", "/./api/chat", "/api/chat", 307),
    ("POST", "/api/../api/chat", "/api/chat", 307),
    ("POST", "/../api/chat", "/api/chat", 307),
    ("POST", "/api/chat/.", "/api/chat", 307),
    ("POST", "/api/x/../chat", "/api/chat", 307),
    ("POST", "/api/tags/../chat", "/api/chat", 307),
    ("POST", "/api/chat/..", "/api", 307),
    ("POST", "/api/chat/", "/api/chat", 307),
    ("POST", "/%61pi/chat/", "/api/chat", 307),
    ("POST", "/api/chat%2f", "/api/chat", 307),
    ("POST", "/api/chat//", "/api/chat/", 307),
    ("POST", "//api/chat/", "/api/chat/", 307),
    ("GET", "/api/tags/", "/api/tags", 301),
    ("HEAD", "/api/tags/", "/api/tags", 307),
    ("GET", "/v1/models/", "/v1/models", 301),
    ("GET", "/v1/models/tiny-a/", "/v1/models/tiny-a", 301),
    ("GET", "/v1/models//a", "/v1/models/a", 307),
    ("GET", "/v1/models/a%2f", "/v1/models/a", 301),
    ("GET", "/v1/models/a%2Bb/", "/v1/models/a+b", 301),
    ("GET", "/v1/models/%2e%2e/", "/v1", 301),
    ("GET", "/v1//models/a%2fb", "/v1/models/a%252fb", 307),
    ("POST", "/api/blobs/sha256%3aab/", "/api/blobs/sha256:ab", 307),
    ("GET", "//", "/", 307),
    ("GET", "/..", "/", 307),
    # The mux does not ask whether anybody is there.
    ("GET", "//evil.example", "/evil.example", 307),
    ("GET", "//evil.example/api/tags", "/evil.example/api/tags", 307),
    ("POST", "/api//nothing", "/api/nothing", 307),
    ("POST", "//jobs", "/jobs", 307),
]
# method, path, the route that gin finds, what the target receives
FOUND = [
    ("POST", "/api%2fchat", "/api/chat", "/api/chat"),
    ("POST", "/%61pi/ch%61t", "/api/chat", "/api/chat"),
    ("POST", "/v1%2Fchat%2Fcompletions", "/v1/chat/completions", "/v1/chat/completions"),
    ("GET", "/v1/models/a%20b", "/v1/models/", "/v1/models/a%20b"),
    ("GET", "/v1/models%2fa%3ab", "/v1/models/", "/v1/models/a%3ab"),
    ("GET", "/v1/models/a;b", "/v1/models/", "/v1/models/a;b"),
    ("GET", "/v1/models/a#b", "/v1/models/", "/v1/models/a%23b"),
    ("GET", "/v1/models/\xe9", "/v1/models/", "/v1/models/%E9"),
    ("GET", "/v1/models/%2e%2e", "/v1/models/", "/v1/models/%2e%2e"),
    ("POST", "/api/blobs/sha256%3aab", "/api/blobs/", "/api/blobs/sha256%3aab"),
]
NOWHERE = [
    ("GET", "/api/chat/"), ("POST", "/api/tags/"), ("POST", "/v1/models/"),
    ("POST", "/api/chat;"),
    ("POST", "/api;x/chat"), ("POST", "/API/chat"), ("POST", "/Api/Chat/"),
    ("POST", "/api/chat%00"), ("POST", "/api/%00chat"), ("POST", "/api/%2e%2e/api/chat"),
    ("POST", "/api/%2e/chat"),
    ("POST", "/api/chat#x"), ("POST", "/api/chat%20"), ("POST", "/api/chat/%20"),
    ("POST", "/api\\chat"), ("POST", "/api/chat%2F%2e%2e%2fpull"), ("GET", "/v1/models/a%2fb"),
    ("POST", "/api/nothing/"), ("POST", "/api/chat%2f%2f"), ("POST", "/%2fapi/chat"),
    ("POST", "/api/blobs/"), ("POST", "/api/%ff"), ("POST", "/%2561pi/chat"), ("GET", "/evil/"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "location", "status"), REDIRECTED)
def test_another_spelling_of_a_path_is_redirected_as_ollama_does(
    method: str, path: str, location: str, status: int
) -> None:
    assert find_route(method, path) == Elsewhere(location, status)


@pytest.mark.parametrize(("method", "path", "route_path", "sent"), FOUND)
def test_a_target_receives_the_path_that_was_matched(
    method: str, path: str, route_path: str, sent: str
) -> None:
    route = find_route(method, path)

    assert isinstance(route, Route)
    assert (route.path, path_at_target(route, path)) == (route_path, sent)


@pytest.mark.parametrize(("method", "path"), NOWHERE)
def test_a_spelling_that_ollama_does_not_know_leads_nowhere(method: str, path: str) -> None:
    assert find_route(method, path) is None


@pytest.mark.parametrize(
    "path", ["*", "api/chat", "/api/chat%zz", "/api/chat%4", "/api/\x00", "/a\tb", "/\x7f"]
)
def test_what_go_does_not_read_as_a_path_is_none(path: str) -> None:
    assert not is_readable(path)


def test_the_table_of_admin_spellings_is_not_smaller_than_it_was() -> None:
    assert len(ADMIN_SPELLINGS) >= 343


@pytest.mark.parametrize(("admin", "method", "path"), ADMIN_SPELLINGS)
def test_no_spelling_of_an_admin_route_passes_as_another_route(
    admin: Route, method: str, path: str
) -> None:
    found = find_route(method, path)

    # Refused as admin, redirected to a path that is asked for anew, or nowhere: never served.
    if isinstance(found, Route):
        assert found == admin
        assert decoded(path_at_target(found, path)).startswith(admin.path)


segments = st.sampled_from(
    ["api", "chat", "v1", "models", "pull", "", ".", "..", "%2e", "%2f", "ch%61t", "a b", "%61pi",
     "a#b", "m:1", "\xe9", "%ff", "%00", "blobs", "chat;x", "..;", "%252e"]
)  # fmt: skip
paths = st.lists(segments, min_size=1, max_size=6).map(lambda parts: "/" + "/".join(parts))
methods = st.sampled_from(["GET", "HEAD", "POST", "DELETE"])


@given(method=methods, path=paths)
def test_what_a_target_receives_is_the_route_that_was_found_and_clean(
    method: str, path: str
) -> None:
    route = find_route(method, path)

    if isinstance(route, Route):
        sent = path_at_target(route, path)
        assert find_route(method, sent) == route
        assert path_at_target(route, sent) == sent
        assert normpath(sent) == sent
        assert is_readable(sent)
        assert sent.isascii()


@given(method=methods, path=paths)
def test_a_redirect_stays_on_this_server_and_comes_to_an_end(method: str, path: str) -> None:
    for _ in range(4):
        found = find_route(method, path)
        if not isinstance(found, Elsewhere):
            return
        assert found.path.startswith("/")
        assert not found.path.startswith("//")
        path = found.path
    raise AssertionError(f"{path} leads on and on")


def test_a_known_path_with_another_method_is_not_redirected() -> None:
    assert isinstance(find_route("GET", "/api%2fchat"), WrongMethod)
