"""Each route of the table asks the targets that it means: two targets, and no worker."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
import requests

from foreman.core.surface import ROUTES, Route, RouteClass, Targets
from tests.fakes.scripted_target import Reply, ScriptedTarget
from tests.servers import PostgresServer
from tests.stack import Stack, WebAlone, wait_for

SHARED, ALONE, EMBEDS = "shared:latest", "alone:latest", "embeds:latest"
DIGEST = "sha256:" + "0" * 64
GENERATIONS = [
    route
    for route in ROUTES
    if route.route_class is RouteClass.QUEUED and route.unload_at is not None
]
OTHERS = [route for route in ROUTES if route.route_class is not RouteClass.QUEUED]


def listed(name: str) -> dict[str, object]:
    kind = "embedding" if name == EMBEDS else "completion"
    return {"name": name, "model": name, "capabilities": [kind]}


def loaded(name: str) -> dict[str, object]:
    return {"name": name, "model": name, "size": 1, "expires_at": "2030-01-01T00:00:00Z"}


class Fleet:
    """The first target has the shared model alone; the second one has all."""

    def __init__(self, running: ExitStack) -> None:
        def answer(name: str) -> ScriptedTarget:
            models = [SHARED] if name == "one" else [SHARED, ALONE, EMBEDS]
            body = json.dumps({"data": [{"id": each} for each in models]}).encode()
            target = ScriptedTarget(
                lambda _: Reply(200, body),
                models=[listed(each) for each in models],
                loaded=[loaded(each) for each in models],
            )
            return running.enter_context(target)

        self.targets = {name: answer(name) for name in ("one", "two")}

    def asked(self, path: str) -> list[str]:
        """The targets that were asked for a path, since the last time."""
        found = [name for name, target in self.targets.items() if target.asked_for(path)]
        for target in self.targets.values():
            target.asked.clear()
        return found


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    with ExitStack() as running:
        yield Fleet(running)


@pytest.fixture(scope="module")
def web(
    fleet: Fleet,
    postgres: PostgresServer,
    template_url: str,
    new_broker_url: Callable[[str], str],
) -> Iterator[Stack]:
    one, two = (target.url for target in fleet.targets.values())
    running = WebAlone(
        database_url=postgres.create_database(template_url),
        broker_url=new_broker_url("redis"),
        targets=f"one={one.replace('//', '//me:hunter2@')},two={two}",
        workers=0,
        settings={"FOREMAN_ALLOW_ADMIN": "1"},
    )
    with running as stack:
        # Both lists are there when the web process has started.
        wait_for(lambda: stack.get("/api/tags").status == 200)
        yield stack


def path_of(route: Route, model: str) -> str:
    return route.path + {"/v1/models/": model, "/api/blobs/": DIGEST}.get(route.path, "")


def ask(web: Stack, route: Route, model: str, **more: object) -> requests.Response:
    method = route.methods[0]
    body = None if method == "GET" else {"model": model, "name": model, "input": "x", **more}
    headers = {"Authorization": "Bearer of-the-client"}
    return requests.request(
        method, web.url + path_of(route, model), json=body, headers=headers, timeout=20
    )


@pytest.mark.parametrize("route", OTHERS, ids=lambda route: route.path)
def test_a_route_asks_the_targets_that_it_means(web: Stack, fleet: Fleet, route: Route) -> None:
    model = EMBEDS if route.route_class is RouteClass.BYPASS else ALONE
    path = path_of(route, model)
    fleet.asked(path)

    answer = ask(web, route, model)

    assert answer.status_code == 200
    if route.targets is Targets.ALL:
        entries = [each.get("name") or each["id"] for each in answer.json()[route.list_key]]
        # What is loaded is listed for each target that has loaded it.
        twice = [SHARED] if route.path == "/api/ps" else []
        assert sorted(entries) == sorted([SHARED, ALONE, EMBEDS, *twice])
        return
    expected = {
        Targets.ANY: ["one"],
        Targets.CHOSEN: ["one"],
        Targets.HAVING: ["two"],
    }
    assert answer.headers["X-Foreman-Target"] in expected[route.targets]
    assert fleet.asked(path) == expected[route.targets]


@pytest.mark.parametrize("route", GENERATIONS, ids=lambda route: route.path)
@pytest.mark.parametrize(("model", "having"), [(SHARED, ["one", "two"]), (ALONE, ["two"])])
def test_an_unload_goes_to_each_target_that_has_the_model(
    web: Stack, fleet: Fleet, route: Route, model: str, having: list[str]
) -> None:
    fleet.asked(route.path)

    answer = ask(web, route, model, keep_alive=0)

    assert route.unload_at is Targets.ALL_HAVING
    assert answer.status_code == 200
    assert fleet.asked(route.path) == having


def test_credentials_go_to_their_own_target_only(web: Stack, fleet: Fleet) -> None:
    seen: dict[str, set[str | None]] = {}
    for name in fleet.targets:
        fleet.targets[name].asked.clear()
        answer = requests.get(
            web.url + "/api/version", headers={"X-Foreman-Target": name}, timeout=20
        )
        assert answer.status_code == 200
        asked = fleet.targets[name].asked_for("/api/version")
        seen[name] = {each.headers.get("authorization") for each in asked}

    assert seen == {"one": {"Basic bWU6aHVudGVyMg=="}, "two": {None}}
