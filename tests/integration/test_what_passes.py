"""What passes between clients and targets: paths, queries and headers, on every way through."""

import json
import threading
from collections.abc import Callable, Iterator

import pytest

from tests.client import call, chat, stream
from tests.fakes.scripted_target import Asked, Reply, ScriptedTarget
from tests.servers import PostgresServer
from tests.stack import Stack, wait_for

SECRET = "do-not-keep-me"
# What a client may send beside its request; none of it is for a target, or to be stored.
UNWANTED = {
    "Authorization": f"Bearer {SECRET}",
    "X-Api-Key": SECRET,
    "Api-Key": SECRET,
    "X-Auth-Token": SECRET,
    "X-Forwarded-Access-Token": SECRET,
    "Cf-Access-Jwt-Assertion": SECRET,
    "Cookie": f"session={SECRET}",
    "X-Anything": SECRET,
    "Accept-Encoding": "gzip, br",
    "Range": "bytes=0-3",
    "If-None-Match": '"x"',
    "If-Modified-Since": "Thu, 01 Jan 1970 00:00:00 GMT",
    "TE": "trailers",
}
WANTED = {"User-Agent": "a client", "Anthropic-Beta": "b", "Traceparent": "00-1-2-03"}
HOSTILE = [
    ("Content-Type", "application/json"),
    ("X-Accel-Redirect", "/etc/passwd"),
    ("X-Accel-Buffering", "yes"),
    ("Set-Cookie", "a=b"),
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Allow-Credentials", "true"),
    ("Location", "http://evil.example/"),
    ("Refresh", "0; url=http://evil.example/"),
    ("X-Foreman-Job-Id", "not-a-job"),
    ("X-Foreman-Changed", "everything"),
    ("Server", "evil"),
    ("Retry-After", "7"),
    ("X-Request-Id", "r1"),
]
# Each way through foreman, and what is asked for on it.
WAYS = {
    "queued": ("POST", "/api/chat", {"model": "m", "stream": False}),
    "queued embedding": ("POST", "/api/embed", {"model": "m", "input": "x"}),
    "embedding": ("POST", "/api/embed", {"model": "vectors", "input": "x"}),
    "unknown model": ("POST", "/api/chat", {"model": "nobody-has-it", "stream": False}),
    "forwarded": ("POST", "/api/show", {"model": "m"}),
    "admin": ("POST", "/api/copy", {"source": "m", "destination": "n"}),
}
MODELS = [
    {"name": "m:latest", "digest": "1", "capabilities": ["completion"]},
    {"name": "vectors:latest", "digest": "2", "capabilities": ["embedding"]},
]

replies: dict[str, Reply] = {}
late: dict[str, Callable[[], Reply]] = {}  # made when they are asked for


@pytest.fixture(scope="module")
def fake() -> Iterator[ScriptedTarget]:
    def script(asked: Asked) -> Reply:
        return late[asked.path]() if asked.path in late else replies.get(asked.path, Reply())

    with ScriptedTarget(script, models=MODELS) as target:
        yield target


@pytest.fixture(scope="module")
def stack(
    fake: ScriptedTarget,
    postgres: PostgresServer,
    template_url: str,
    new_broker_url: Callable[[str], str],
) -> Iterator[Stack]:
    with Stack(
        database_url=postgres.create_database(template_url),
        broker_url=new_broker_url("redis"),
        targets=f"gpu={fake.url}?slots=2",
        settings={
            "FOREMAN_ALLOW_ADMIN": "1",
            "FOREMAN_MAX_ATTEMPTS": "1",
            "FOREMAN_KEEPALIVE_AFTER": "0.1",
        },
    ) as running:
        yield running


@pytest.fixture(autouse=True)
def fresh(fake: ScriptedTarget) -> Iterator[None]:
    fake.asked.clear()
    yield
    replies.clear()
    late.clear()


def stored(stack: Stack) -> str:
    """All that the database keeps of requests."""
    return str(stack.rows("SELECT * FROM payloads")) + str(stack.rows("SELECT * FROM jobs"))


@pytest.mark.parametrize("way", WAYS)
def test_no_secret_and_no_negotiation_reaches_a_target_or_the_database(
    stack: Stack, fake: ScriptedTarget, way: str
) -> None:
    method, path, body = WAYS[way]
    query = f"?key={SECRET}&api_key={SECRET}&access_token={SECRET}"

    answer = call(stack.url, method, path + query, body, UNWANTED | WANTED)

    assert answer.status == 200, answer.body
    (asked,) = fake.asked_for(path)
    assert asked.path == path
    passed = {name: value for name, value in asked.headers.items() if name != "x-foreman-job-id"}
    assert SECRET not in str(passed)
    assert {name: passed.get(name.lower()) for name in WANTED} == WANTED
    assert passed.pop("accept-encoding") == "identity"
    assert not {name.lower() for name in UNWANTED} & passed.keys()
    assert SECRET not in stored(stack)


@pytest.mark.parametrize("way", WAYS)
def test_only_what_describes_the_answer_comes_back_from_a_target(
    stack: Stack, fake: ScriptedTarget, way: str
) -> None:
    method, path, body = WAYS[way]
    replies[path] = Reply(headers=HOSTILE)

    answer = call(stack.url, method, path, body, {})

    assert answer.status == 200
    foreign = {name.lower() for name, _ in HOSTILE} - {"x-foreman-job-id", "server"}
    passed = {name.lower(): value for name, value in answer.headers if name.lower() in foreign}
    assert passed == {"content-type": "application/json", "retry-after": "7", "x-request-id": "r1"}
    assert answer.header("X-Foreman-Job-Id") != "not-a-job"
    assert answer.header("Server") != "evil"
    assert answer.header("X-Content-Type-Options") == "nosniff"


@pytest.mark.parametrize("way", WAYS)
def test_a_redirect_of_a_target_is_an_error_and_not_an_answer(
    stack: Stack, fake: ScriptedTarget, way: str
) -> None:
    method, path, body = WAYS[way]
    replies[path] = Reply(307, b"", [("Location", "http://evil.example/")])
    before = len(stack.jobs())

    answer = call(stack.url, method, path, body, {})

    assert answer.status == 502
    assert answer.header("Location") is None
    assert b"redirect (307)" in answer.body
    assert [job["state"] for job in stack.jobs()[before:] if job["state"] == "succeeded"] == []


def test_a_redirect_after_keep_alive_bytes_is_told_in_the_stream(
    stack: Stack, fake: ScriptedTarget
) -> None:
    has_waited = threading.Event()

    def moved() -> Reply:
        assert has_waited.wait(20)
        return Reply(307, b"", [("Location", "/api/chat")])

    late["/api/chat"] = moved
    with stream(stack.url, body=chat("m")) as got:
        assert got.answer.read(1) == b" "
        has_waited.set()
        rest = got.rest()

    assert "redirect (307)" in json.loads(rest)["error"]
    wait_for(lambda: stack.job(got.job_id)["state"] == "failed")


SPELLINGS = [
    "/v1//chat/completions", "/api//chat", "//api/chat", "/./api/chat", "/api/../api/chat",
    "/api/chat/", "//api/embed", "//api/show", "///api/generate", "/%61pi/chat/",
]  # fmt: skip


@pytest.mark.parametrize("path", SPELLINGS)
def test_another_spelling_of_a_path_is_redirected_at_once_and_is_no_job(
    stack: Stack, fake: ScriptedTarget, path: str
) -> None:
    before = len(stack.jobs())

    answer = call(stack.url, "POST", path + "?a=b&c=%20", {"model": "m", "stream": False}, {})

    assert (answer.status, answer.body) == (307, b"")
    assert answer.header("Content-Type") is None
    location = answer.header("Location") or ""
    assert location.endswith("?a=b&c=%20")
    assert fake.asked_for(location.partition("?")[0]) == []
    assert len(stack.jobs()) == before
    again = call(stack.url, "POST", location, {"model": "m", "stream": False}, {})
    assert again.status == 200


def test_a_get_is_redirected_with_a_page_of_gos(stack: Stack) -> None:
    moved = call(stack.url, "GET", "/api/tags/?a=b", None, {})
    clean = call(stack.url, "GET", "//api/tags", None, {})

    assert (moved.status, moved.header("Location")) == (301, "/api/tags?a=b")
    assert moved.body == b'<a href="/api/tags?a=b">Moved Permanently</a>.\n\n'
    assert (clean.status, clean.header("Location")) == (307, "/api/tags")
    assert clean.header("Content-Type") == "text/html; charset=utf-8"


@pytest.mark.parametrize("path", ["/api%2fchat", "/%61pi/ch%61t", "/api/chat?x"])
def test_an_encoded_spelling_is_queued_and_sent_as_its_route(
    stack: Stack, fake: ScriptedTarget, path: str
) -> None:
    answer = call(stack.url, "POST", path, {"model": "m", "stream": False}, {})

    assert answer.status == 200
    assert [each.path for each in fake.asked_for("/api/chat")] == ["/api/chat"]
    assert stack.job(answer.header("X-Foreman-Job-Id") or "")["endpoint"] == "/api/chat"


def test_a_free_segment_is_sent_as_it_was_spelled(stack: Stack, fake: ScriptedTarget) -> None:
    answer = call(stack.url, "GET", "/v1/models%2fhf.co%3Ax?key=x", None, {})

    assert answer.status == 200
    assert [each.path for each in fake.asked] == ["/v1/models/hf.co%3Ax"]


def test_a_slash_too_many_leads_to_foremans_own_routes_too(stack: Stack) -> None:
    answer = call(stack.url, "GET", "//jobs?limit=1", None, {})

    assert (answer.status, answer.header("Location")) == (307, "/jobs?limit=1")


@pytest.mark.parametrize("path", ["/api/chat%zz", "/v1/chat/completions%"])
def test_a_broken_escape_is_a_bad_request_as_with_ollama(stack: Stack, path: str) -> None:
    answer = call(stack.url, "POST", path, {"model": "m"}, {})

    assert answer.status == 400
    assert b"not valid" in answer.body


def test_a_merged_list_is_asked_for_in_foremans_own_words(
    fake: ScriptedTarget,
    postgres: PostgresServer,
    template_url: str,
    new_broker_url: Callable[[str], str],
) -> None:
    replies["/v1/models"] = Reply(body=b'{"object":"list","data":[{"id":"m"}]}')
    with Stack(
        database_url=postgres.create_database(template_url),
        broker_url=new_broker_url("redis"),
        targets=f"one={fake.url}?slots=1,two={fake.url}?slots=1",
    ) as running:
        answer = call(running.url, "GET", f"/v1/models?key={SECRET}", None, UNWANTED)

    assert json.loads(answer.body) == {"object": "list", "data": [{"id": "m"}]}
    asked = fake.asked_for("/v1/models")
    assert [each.path for each in asked] == ["/v1/models"] * 2
    assert [each.headers["accept-encoding"] for each in asked] == ["identity"] * 2
    assert SECRET not in str(asked)
    assert all("range" not in each.headers for each in asked)
