"""What clients may see of receivers: everything with the administrator's switch, else little."""

from dataclasses import replace
from typing import Any

import pytest

from foreman.api import create_app
from foreman.core.states import DeliveryState
from foreman.core.webhooks import AttemptError, Outcome, Verdict, excerpt_text
from foreman.runtime import WebRuntime
from foreman.store.sending import Tried, claim_due, record_attempts
from tests.integration.api.ground import Caller, ask
from tests.integration.store.ground import Store

URL = "https://receiver.example/hook?token=hunter2"
BODY = b"internal \x1b[2Jpanel\x9b0m\r\n\xe2\x80\xaepassword: swordfish\x00"
SHOWN = "internal �[2Jpanel�0m �password: swordfish�"


@pytest.fixture
def answered(caller: Caller, store: Store) -> str:
    """A job whose receiver refused the first event with a body of its own."""
    job_id = caller.post("/jobs", ask(webhook={"url": URL})).json["id"]
    (due,) = store.do(claim_due, room=9, unproven_room=9, proven=[], at_once=9, lease_s=30.0)
    outcome = Outcome(7, 500, AttemptError.HTTP, BODY)
    store.do(record_attempts, [Tried(due, outcome, Verdict(DeliveryState.PENDING, 60.0))])
    return str(job_id)


def shown_everywhere(caller: Caller, job_id: str) -> list[dict[str, Any]]:
    """The delivery in each answer that shows one."""
    (listed,) = caller.get(f"/jobs/{job_id}/deliveries").json["data"]
    (paged,) = caller.get("/deliveries").json["data"]
    again = caller.post(f"/deliveries/{listed['id']}/redeliver").json
    return [listed, paged, again]


def test_a_client_does_not_see_what_a_receiver_answered(caller: Caller, answered: str) -> None:
    for delivery in shown_everywhere(caller, answered):
        (attempt,) = delivery["attempts"]
        assert (attempt["status"], attempt["error"], attempt["excerpt"]) == (500, "http", None)
        assert delivery["url"] == "https://receiver.example/hook?…"


def test_an_administrator_sees_it_without_control_characters(
    caller: Caller, runtime: WebRuntime, answered: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "settings", replace(runtime.settings, allow_admin=True))
    administrator = Caller(create_app(runtime))

    for delivery in shown_everywhere(administrator, answered):
        assert delivery["attempts"][0]["excerpt"] == SHOWN
        assert delivery["url"] == URL


def test_what_was_kept_before_is_shown_without_control_characters(
    caller: Caller,
    runtime: WebRuntime,
    store: Store,
    answered: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store.sql("UPDATE attempts SET excerpt = :old", old="a\x1b[31mb\u202ec\n")
    monkeypatch.setattr(runtime, "settings", replace(runtime.settings, allow_admin=True))

    (delivery,) = Caller(create_app(runtime)).get("/deliveries").json["data"]

    assert delivery["attempts"][0]["excerpt"] == "a�[31mb�c "


def test_what_is_kept_has_no_control_characters(store: Store, answered: str) -> None:
    assert excerpt_text(BODY) == SHOWN
    assert store.sql("SELECT excerpt FROM attempts") == [{"excerpt": SHOWN}]
