"""`GET /jobs`: filters, pages that stay true while jobs arrive, synchronous jobs among them."""

from datetime import timedelta
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from foreman.core.states import JobState, Source
from tests.integration.api.ground import Caller, ask, problem_of
from tests.integration.store.ground import Store


def ids(caller: Caller, **filters: Any) -> list[str]:
    answer = caller.get("/jobs?" + urlencode(filters))
    assert answer.status_code == 200, answer.text
    return [each["id"] for each in answer.json["data"]]


def test_the_newest_job_comes_first(caller: Caller) -> None:
    accepted = [str(caller.submit()) for _ in range(3)]

    assert ids(caller) == accepted[::-1]


def test_pages_hold_together_while_jobs_arrive(caller: Caller) -> None:
    accepted = [str(caller.submit()) for _ in range(5)]
    seen, after = [], None
    for _ in range(3):
        query = {"limit": 2} | ({"after": after} if after else {})
        page = caller.get("/jobs?" + urlencode(query)).json
        seen += [each["id"] for each in page["data"]]
        after = page["next"]
        caller.submit()

    assert seen == accepted[::-1]
    assert (page["has_more"], after) == (False, None)


def test_jobs_of_the_same_moment_are_each_listed_once(caller: Caller, store: Store) -> None:
    accepted = {str(caller.submit()) for _ in range(6)}
    store.sql("UPDATE jobs SET created_at = now()")
    first = caller.get("/jobs?limit=3").json

    second = caller.get(f"/jobs?limit=3&after={first['next']}").json

    seen = [each["id"] for page in (first, second) for each in page["data"]]
    assert len(seen) == 6
    assert set(seen) == accepted


def test_synchronous_jobs_are_in_the_same_history(caller: Caller, store: Store) -> None:
    sync = store.queued(source=Source.SYNC, queue="model.x", wait_s=60.0)
    caller.submit()

    assert ids(caller, source="sync") == [str(sync.id)]
    assert len(ids(caller)) == 2
    assert caller.job(sync.id)["priority"] == "interactive"


def test_each_filter_chooses(caller: Caller, store: Store) -> None:
    a = caller.post("/jobs", ask(metadata={"team": "blue", "n": 5}), X_Foreman_Client="ann").json
    b = caller.post(
        "/jobs",
        ask(request={"model": "chain-b", "prompt": "x"}, metadata={"team": "red", "n": "5"}),
    ).json
    caller.post(f"/jobs/{b['id']}/cancel")
    first, second = str(a["id"]), str(b["id"])

    assert ids(caller, state="queued") == [first]
    assert ids(caller, state="cancelled") == [second]
    assert ids(caller, model="Chain-B") == [second]
    assert ids(caller, client="ann") == [first]
    assert ids(caller, **{"metadata.team": "blue"}) == [first]
    assert ids(caller, **{"metadata.n": "5"}) == [second, first]
    assert ids(caller, **{"metadata.n": "5", "metadata.team": "red"}) == [second]
    assert ids(caller, created_after=b["created_at"]) == []
    assert ids(caller, created_before=b["created_at"]) == [first]
    assert ids(caller, state=JobState.EXPIRED) == []


@pytest.mark.parametrize("written", ["1e999", "-1e999", "NaN", "Infinity", "9" * 5000])
def test_a_number_that_json_cannot_have_is_a_label_as_it_was_written(
    caller: Caller, written: str
) -> None:
    job_id = caller.submit(metadata={"a": written[:100]})

    assert ids(caller, **{"metadata.a": written}) == ([str(job_id)] if len(written) < 100 else [])


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("state=done", "state"),
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=two", "limit"),
        ("stat=queued", "stat"),
        ("after=%20", "after"),
        ("after=AAAA", "after"),
        ("created_after=yesterday", "created_after"),
        ("created_after=2026-01-01T00:00:00", "created_after"),
        ("state=queued&state=failed", "state"),
        ("client=a%00b", "client"),
        ("metadata.a=%00", "metadata.a"),
        ("metadata.=x", "metadata."),
    ],
)
def test_a_filter_that_means_nothing_is_refused(caller: Caller, query: str, field: str) -> None:
    assert problem_of(caller.get(f"/jobs?{query}")) == (422, "invalid", field)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("created_after=2026-01-01T00:00:00+02:00", "write the + of a time zone as %2B"),
        ("created_before=2026-01-01T00:00:00.5+0200", "write the + of a time zone as %2B"),
        ("_=1", "unknown parameter; this route has state, source, model"),
    ],
)
def test_a_parameter_that_is_often_written_wrongly_is_explained(
    caller: Caller, query: str, words: str
) -> None:
    answer = caller.get(f"/jobs?{query}")

    assert problem_of(answer) == (422, "invalid", query.partition("=")[0])
    assert words in answer.json["detail"]


def test_a_time_in_any_zone_is_understood(caller: Caller, store: Store) -> None:
    job_id = caller.submit()
    created_at = store.row(job_id)["created_at"] - timedelta(seconds=1)
    text = quote((created_at + timedelta(hours=2)).isoformat().replace("+00:00", "+02:00"))

    assert ids(caller) == [str(job_id)]
    assert caller.get(f"/jobs?created_after={text}").json["data"][0]["id"] == str(job_id)
