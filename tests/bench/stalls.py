"""How long a hostile target stops the event loop, under gevent as in the web process.

`python -m gevent.monkey --module tests.bench.stalls URL`: another greenlet looks how much CPU time
passes until it has its turn again. Prints the longest such time in seconds, as JSON, for each way
to read a target.
"""

import json
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from types import SimpleNamespace
from typing import cast

import gevent

from foreman.adapters.catalog import Catalog, Placement
from foreman.adapters.target import TargetClient, TargetRequest
from foreman.core.embedding import Listed
from foreman.core.surface import Route, find_route
from foreman.errors import ForemanError
from foreman.parsing import TargetSpec
from foreman.runtime import WebRuntime
from foreman.services.capabilities import Capabilities
from foreman.services.forward import Forwarding
from foreman.services.merging import MergedLists
from foreman.turns import Turns

MIB = 1024 * 1024


def longest_stall_s(action: Callable[[], object]) -> float:
    """The most CPU time between two turns of a greenlet that wants nothing but its turn."""
    longest, last = 0.0, time.thread_time()

    def look() -> None:
        nonlocal longest, last
        while True:
            now = time.thread_time()
            longest, last = max(longest, now - last), now
            gevent.sleep(0)

    looking = gevent.spawn(look)
    gevent.sleep(0)
    with suppress(ForemanError):
        action()
    gevent.sleep(0)
    looking.kill()
    return longest


def measured(url: str) -> dict[str, float]:
    """The longest stall by way."""
    client = TargetClient(TargetSpec(name="gpu", url=url, slots=1), silence_s=60, connections=4)
    catalog = Catalog({"gpu": client})
    targets = {"gpu": client}
    parts = {"targets": targets, "catalog": catalog, "turns": Turns()}
    queues = SimpleNamespace(targets=[])
    runtime = cast(WebRuntime, SimpleNamespace(queues=queues, **parts))
    stalls = {"the catalog's list": longest_stall_s(catalog.refresh)}
    reachable = SimpleNamespace(targets=("gpu",), is_reachable=lambda _: True, lose=lambda *_: None)
    runtime.catalog = cast(Catalog, reachable)

    def merge() -> None:
        route = find_route("GET", "/v1/models")
        assert isinstance(route, Route)
        for _ in MergedLists(runtime).merged(route).body:
            pass

    def pass_on() -> None:
        asked = TargetRequest("GET", "/api/version")
        for _ in Forwarding(runtime, ["gpu"], asked, limit_bytes=16 * MIB).start().body:
            pass

    def ask() -> None:
        placed = Placement(("gpu",), is_remote=False, listed=(Listed(),))
        Capabilities(runtime).is_embedding("m", placed)

    stalls["a merged list"] = longest_stall_s(merge)
    stalls["the capabilities of a model"] = longest_stall_s(ask)
    stalls["an answer that is passed on"] = longest_stall_s(pass_on)
    return stalls


if __name__ == "__main__":
    json.dump(measured(sys.argv[1]), sys.stdout)
