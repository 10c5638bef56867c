"""`python -m foreman policy`: targets with what they hold, queues with promise and forecast."""

import argparse
import json
from collections.abc import Iterator
from typing import Any

import pytest

from foreman.client import Client
from foreman.policy import policy
from tests.fakes.scripted_target import Reply, ScriptedTarget

GIB = 1024**3


def resident(model: str | None, queue: str) -> dict[str, Any]:
    return {"queue": queue, "model": model, "size_bytes": 4 * GIB}


TARGETS = [
    {
        "name": "gpu1", "is_live": True, "sick_reason": None, "reason": "it fits",
        "residents": [resident("a:latest", "model.a"), resident(None, "model.long~~1")],
        "loading": [resident("b:latest", "model.b")],
        "room": {"fits": {"residents": 2, "size_bytes": 8 * GIB}},
        "lingers": {"ended": 4, "answered": 3, "wasted_s": 2.5},
    },
    {
        "name": "gpu2", "is_live": False, "sick_reason": None, "reason": None,
        "residents": [], "loading": [], "room": {"fits": {"residents": 1, "size_bytes": 0}},
        "lingers": {"ended": 0, "answered": 0, "wasted_s": 0},
    },
]  # fmt: skip
QUEUES = [
    {
        "queue": "model.c", "oldest_wait_s": {"interactive": 12.25},
        "bound_s": {"interactive": 1879}, "starts_p50_s": 8.0, "starts_p90_s": 16.44,
        "swap_s": {"gpu1": 4.0, "gpu2": 5.0}, "run_p50_s": 2.0, "why": "gpu1: it is next",
    },
    {
        "queue": "model.a", "oldest_wait_s": {}, "bound_s": {}, "starts_p50_s": None,
        "starts_p90_s": None, "swap_s": {}, "run_p50_s": None, "why": "nothing of it waits",
    },
]  # fmt: skip


@pytest.fixture
def client() -> Iterator[Client]:
    body = json.dumps({"data": QUEUES, "targets": TARGETS}).encode()
    with ScriptedTarget(lambda asked: Reply(body=body)) as server, Client(server.url) as client:
        yield client


def test_targets_are_printed_with_what_they_hold_and_queues_with_promise_and_forecast_apart(
    client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    policy(client, argparse.Namespace(json=False))

    first, second, _, head, waiting, idle = capsys.readouterr().out.splitlines()
    assert first == (
        "gpu1: a:latest, model.long~~1, loading b:latest; fits 2 (8.0 GiB); lingers 3 of 4"
    )
    assert second == ("gpu2: nothing loaded; fits 1 (0.0 GiB); lingers 0 of 0; no worker drives it")
    assert [each.split() for each in head.split("|")[1:3]] == [["inter.", "batch"], ["p50", "p90"]]
    assert [each.split() for each in waiting.split("|")[:3]] == [
        ["model.c", "12.2"], ["1879", "-"], ["8.0", "16.4"],
    ]  # fmt: skip
    assert waiting.endswith("gpu1: it is next")
    assert idle.split("|")[1].split() == ["-", "-"]


def test_as_json_each_queue_is_an_object_of_a_line(
    client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    policy(client, argparse.Namespace(json=True))

    assert [json.loads(each) for each in capsys.readouterr().out.splitlines()] == QUEUES
