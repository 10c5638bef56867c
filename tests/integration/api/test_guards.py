"""What every answer says to browsers and caches."""

import base64
import hashlib
import re

import pytest

from tests.integration.api.ground import Caller, ask

PATHS = [
    "/", "/api/version", "/api/tags", "/api/nothing", "/jobs", "/jobs/x", "/jobs/a/b/c",
    "/deliveries", "/queues", "/swaps", "/docs", "/openapi.json", "/healthz", "/readyz",
    "//api/chat", "/api/tags/", "/api/%zz", "/v1/nothing",
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_no_browser_takes_an_answer_for_something_else(caller: Caller, path: str) -> None:
    for answer in (caller.get(path), caller.post(path, {}), caller.call("BREW", path)):
        assert answer.headers.getlist("X-Content-Type-Options") == ["nosniff"]


@pytest.mark.parametrize(
    "path", ["/jobs", "/jobs/x", "/jobs/a/b/c", "/deliveries", "/queues", "/swaps", "/jobs?x=y"]
)
def test_no_cache_keeps_what_is_known_of_jobs(caller: Caller, path: str) -> None:
    assert caller.get(path).headers["Cache-Control"] == "no-store"


def test_no_cache_keeps_a_job_its_events_or_its_result(caller: Caller) -> None:
    job = f"/jobs/{caller.submit()}"

    answers = [
        caller.post("/jobs", ask()),
        caller.post("/jobs/batch", b""),
        *(caller.get(job + below) for below in ("", "/events", "/result", "/artifacts")),
        caller.get(f"{job}/artifacts/response.json"),
        caller.get(f"{job}/deliveries"),
        caller.call("DELETE", job),
    ]

    assert {answer.headers.get("Cache-Control") for answer in answers} == {
        "no-store",
        "no-store, no-transform",  # of the batch, whose answer is a stream
    }


@pytest.mark.parametrize("path", ["/docs", "/docs/", "/api/tags/"])
def test_a_page_is_not_framed_and_sends_no_referrer(caller: Caller, path: str) -> None:
    answer = caller.get(path)

    assert answer.content_type.startswith("text/html")
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["Referrer-Policy"] == "no-referrer"


def test_the_policy_of_the_documentation_allows_its_one_style_and_nothing_else(
    caller: Caller,
) -> None:
    answer = caller.get("/docs")

    styles = re.findall("<style>(.*?)</style>", answer.text, re.DOTALL)
    hashes = [base64.b64encode(hashlib.sha256(each.encode()).digest()).decode() for each in styles]
    allowed = re.findall("'sha256-([^']+)'", answer.headers["Content-Security-Policy"])
    assert allowed == hashes
    assert not re.search(r"<script|<img|<iframe|<link|style=|onclick|src=", answer.text)


def test_the_health_is_told_to_any_host_and_details_only_to_a_known_one(caller: Caller) -> None:
    known, strange = (caller.get("/readyz", Host=host) for host in ("localhost", "8.8.8.8"))

    shown = {"database", "broker", "process", "targets", "live_targets", "residents", "ready"}
    assert shown == set(known.json)
    assert strange.json == {"ready": known.json["ready"]}
    assert strange.status_code == known.status_code
    assert caller.get("/healthz", Host="8.8.8.8").json == {"status": "ok"}
    assert caller.get("/queues", Host="8.8.8.8").status_code == 403
