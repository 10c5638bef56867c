"""The pump over a real database and real receivers: order, fairness, what a failure leads to."""

import socket
import threading
from collections import Counter, defaultdict
from contextlib import AbstractContextManager
from uuid import UUID

import pytest
from sqlalchemy import Connection
from standardwebhooks import Webhook

from foreman.core.webhooks import FRESH_ATTEMPTS, RETRY_STEPS_S
from foreman.embedded.probe import free_port
from foreman.errors import DatabaseUnavailable
from foreman.services.deliver import THREADS
from foreman.store import hooks
from foreman.store.db import Database
from foreman.store.sealing import Seal
from tests.factories import new_job
from tests.fakes import receiver as fakes
from tests.fakes.receiver import Got
from tests.integration.store.ledger import SECRET, Ledger, settings
from tests.integration.webhooks.conftest import NewPump, NewReceiver
from tests.stack import wait_for

KEY = "a" * 43 + "="


def verify(got: Got, secret: str = SECRET) -> None:
    Webhook(secret).verify(got.body, got.headers)


def seqs(got: list[Got], owed: dict[str, tuple[UUID, int]]) -> dict[UUID, list[int]]:
    """By job, the numbers of its events in the order in which they came."""
    by_job: dict[UUID, list[int]] = defaultdict(list)
    for each in got:
        job_id, seq = owed[each.id]
        by_job[job_id].append(seq)
    return by_job


def owed_by_id(ledger: Ledger) -> dict[str, tuple[UUID, int]]:
    rows = ledger.store.sql("SELECT id, job_id, seq FROM deliveries")
    return {str(row["id"]): (row["job_id"], row["seq"]) for row in rows}


def test_a_jobs_events_arrive_signed_and_in_order(
    ledger: Ledger, new_receiver: NewReceiver, new_pump: NewPump
) -> None:
    receiver = new_receiver()
    job_id = ledger.ended(url=receiver.url)

    new_pump().until(lambda: ledger.states(job_id) == ["succeeded"] * 3)

    owed = ledger.owed(job_id)
    assert receiver.ids() == [str(each.id) for each in owed]
    assert [got.body for got in receiver.got] == [bytes(each.row["body"]) for each in owed]
    for got in receiver.got:
        verify(got)


def test_an_attempt_is_a_row(ledger: Ledger, new_receiver: NewReceiver, new_pump: NewPump) -> None:
    receiver = new_receiver(fakes.in_turn(fakes.status(500, body=b"no\0pe"), fakes.status(202)))
    job = ledger.accept(url=receiver.url)
    pump = new_pump()

    pump.until(lambda: len(receiver.got) == 1 and pump.pump.turn() == 0)
    ledger.pass_time()
    pump.until(lambda: ledger.states(job.id) == ["succeeded"])

    (owed,) = ledger.owed(job.id)
    rows = ledger.attempts(owed.id)
    facts = [(row["number"], row["status"], row["error_class"], row["excerpt"]) for row in rows]
    assert facts == [(1, 500, "http", "no\ufffdpe"), (2, 202, None, "")]
    assert owed.row["ended_at"] is not None
    first, second = receiver.got
    assert (first.id, first.body) == (second.id, second.body)


def test_a_failed_attempt_is_followed_by_the_next_step(
    ledger: Ledger, new_receiver: NewReceiver, new_pump: NewPump
) -> None:
    receiver = new_receiver(fakes.status(500))
    job = ledger.accept(url=receiver.url)
    pump = new_pump()

    for step_s in RETRY_STEPS_S:
        ledger.pass_time()
        pump.until_still()
        (wait_s,) = ledger.waits_s(job.id)
        assert 0.6 * step_s < wait_s < 1.25 * step_s
    ledger.pass_time()
    pump.until(lambda: ledger.states(job.id) == ["failed"])

    assert len(receiver.got) == len(RETRY_STEPS_S) + 1
    assert len(ledger.attempts(ledger.owed(job.id)[0].id)) == len(RETRY_STEPS_S) + 1


def test_a_retry_after_is_waited_for(
    ledger: Ledger, new_receiver: NewReceiver, new_pump: NewPump
) -> None:
    receiver = new_receiver(fakes.status(429, "Retry-After: 120"))
    job = ledger.accept(url=receiver.url)

    new_pump().until_still()

    (wait_s,) = ledger.waits_s(job.id)
    assert 115 < wait_s <= 120


def test_a_later_event_waits_for_a_fresh_earlier_one(
    ledger: Ledger, new_receiver: NewReceiver, new_pump: NewPump
) -> None:
    receiver = new_receiver(fakes.in_turn(fakes.status(500), fakes.ok))
    job_id = ledger.ended(url=receiver.url)
    pump = new_pump()

    pump.until_still()
    assert seqs(receiver.got, owed_by_id(ledger))[job_id] == [1]
    for _ in range(3):
        ledger.pass_time()
        pump.until_still()

    assert seqs(receiver.got, owed_by_id(ledger))[job_id] == [1, 1, 2, 2, 3, 3]


def test_what_waits_for_an_earlier_one_is_due_with_it(
    ledger: Ledger, new_receiver: NewReceiver, new_pump: NewPump
) -> None:
    receiver = new_receiver(fakes.status(500))
    job = ledger.accept(url=receiver.url)
    ledger.store.claim(job.id)
    new_pump().until_still()
    ledger.store.set(job.id, "lease_until = now() - interval '1 ms'")
    ledger.store.reap()

    first, second, third = ledger.waits_s(job.id)

    assert first == second == third > 3


def test_an_end_event_does_not_wait_behind_a_dead_one(
    ledger: Ledger, new_receiver: NewReceiver, new_pump: NewPump
) -> None:
    def take_the_end_only(connection: socket.socket, got: Got) -> None:
        answer = fakes.ok if b"succeeded" in got.body else fakes.status(500)
        answer(connection, got)

    receiver = new_receiver(take_the_end_only)
    job_id = ledger.ended(url=receiver.url)
    pump = new_pump()

    for _ in range(2 * FRESH_ATTEMPTS):
        ledger.pass_time()
        pump.until_still()

    assert ledger.states(job_id) == ["pending", "pending", "succeeded"]


def test_410_ends_the_hook_of_that_job_only(
    ledger: Ledger, new_receiver: NewReceiver, new_pump: NewPump
) -> None:
    receiver = new_receiver(fakes.status(410))
    job = ledger.accept(url=receiver.url)
    ledger.store.claim(job.id)
    other = ledger.accept(url=receiver.url)
    ledger.store.sql("UPDATE deliveries SET next_at = now() + interval '1 h' WHERE job_id = :id",
                     id=other.id)  # fmt: skip
    new_pump().until_still()

    ledger.store.set(job.id, "lease_until = now() - interval '1 ms'")
    ledger.store.reap()

    assert ledger.states(job.id) == ["failed", "failed"]
    assert len(receiver.got) == 1
    assert ledger.states(other.id) == ["pending"]


def test_not_more_are_sent_at_once_than_a_receiver_is_to_get(
    ledger: Ledger, new_receiver: NewReceiver, new_pump: NewPump
) -> None:
    go = threading.Event()
    receiver = new_receiver(fakes.after(go))
    ledger.accept_all([new_job() for _ in range(20)], url=receiver.url)
    pumps = [new_pump(FOREMAN_WEBHOOK_CONCURRENCY="3") for _ in range(2)]

    pumps[0].until(lambda: len(receiver.got) == 3)
    for pump in pumps * 3:
        pump.pump.turn(idle_s=0.01)
    assert len(receiver.got) == 3  # by two pumps together
    assert receiver.most_at_once == 3

    go.set()
    pumps[0].until(lambda: len(receiver.got) == 20)
    assert set(Counter(receiver.ids()).values()) == {1}


def test_dead_receivers_delay_nobody_else(
    ledger: Ledger, new_receiver: NewReceiver, new_pump: NewPump
) -> None:
    dead = [new_receiver(fakes.silent) for _ in range(12)]
    alive = new_receiver()
    for receiver in dead:  # owed first, and more than all threads together
        ledger.accept_all([new_job() for _ in range(10)], url=receiver.url)
    ledger.accept_all([new_job() for _ in range(50)], url=alive.url)

    # No silent one is given up within this time.
    new_pump(exchange_s=30.0).until(lambda: len(alive.got) == 50, limit_s=15.0)

    assert 0 < sum(len(receiver.got) for receiver in dead) <= THREADS // 2


def test_two_pumps_send_each_delivery_once(
    ledger: Ledger, new_receiver: NewReceiver, new_pump: NewPump
) -> None:
    receivers = [new_receiver() for _ in range(5)]
    for receiver in receivers:
        for _ in range(10):
            ledger.ended(url=receiver.url)
    stop = threading.Event()
    threads = [
        threading.Thread(target=new_pump().pump.run, args=(stop,), daemon=True) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for receiver in receivers:
        receiver.wait(30, limit_s=20.0)
    stop.set()
    for thread in threads:
        thread.join(10)

    owed = owed_by_id(ledger)
    for receiver in receivers:
        assert len(set(receiver.ids())) == len(receiver.ids()) == 30
        assert all(each == [1, 2, 3] for each in seqs(receiver.got, owed).values())
    assert ledger.store.sql("SELECT DISTINCT state FROM deliveries") == [{"state": "succeeded"}]


def test_the_record_of_a_pump_that_lost_its_lease_does_nothing(
    ledger: Ledger, new_receiver: NewReceiver, new_pump: NewPump
) -> None:
    go = threading.Event()
    receiver = new_receiver(fakes.in_turn(fakes.after(go, fakes.status(500)), fakes.ok))
    job = ledger.accept(url=receiver.url)
    stale, other = new_pump(), new_pump()
    stale.until(lambda: len(receiver.got) == 1)
    ledger.pass_time()
    other.until(lambda: ledger.states(job.id) == ["succeeded"])
    before = ledger.owed(job.id)[0].row

    go.set()
    stale.until(lambda: stale.pump.turn() == 0)

    assert ledger.owed(job.id)[0].row == before
    assert len(ledger.attempts(ledger.owed(job.id)[0].id)) == 1


@pytest.mark.parametrize("together", [False, True])
def test_a_pump_that_claims_again_what_it_still_sends_records_the_newer(
    ledger: Ledger, new_receiver: NewReceiver, new_pump: NewPump, together: bool
) -> None:
    go_first, go_second = threading.Event(), threading.Event()
    late, good = fakes.after(go_first, fakes.status(500)), fakes.after(go_second)
    receiver = new_receiver(fakes.in_turn(late, good))
    job = ledger.accept(url=receiver.url)
    pump = new_pump()
    pump.until(lambda: len(receiver.got) == 1)
    ledger.pass_time()
    pump.until(lambda: len(receiver.got) == 2)

    go_first.set()
    if not together:
        pump.until(lambda: pump.pump.turn(idle_s=0.01) == 1)
    go_second.set()
    pump.until(lambda: pump.pump.turn() == 0)

    assert ledger.states(job.id) == ["succeeded"]
    (attempt,) = ledger.attempts(ledger.owed(job.id)[0].id)
    assert attempt["status"] == 200


def test_what_comes_to_a_thread_too_late_is_not_sent(
    ledger: Ledger, new_receiver: NewReceiver, new_pump: NewPump
) -> None:
    receiver = new_receiver()
    job = ledger.accept(url=receiver.url)
    pump = new_pump(lease_s=0.0)

    assert pump.pump.turn(idle_s=0.0) == 1
    pump.until(lambda: pump.pump.turn(has_room=False) == 0)

    (owed,) = ledger.owed(job.id)
    assert (receiver.got, owed.row["state"], owed.row["attempts"]) == ([], "pending", 0)
    assert ledger.waits_s(job.id)[0] <= 0  # nor is it put off


def test_both_secrets_sign_while_one_is_changed(
    ledger: Ledger, new_receiver: NewReceiver, new_pump: NewPump
) -> None:
    receiver = new_receiver(fakes.status(500))
    job = ledger.accept(url=receiver.url)
    pump = new_pump()
    pump.until_still()
    new = ledger.store.do(hooks.rotate_secret, settings(), job.id)
    assert new

    ledger.pass_time()
    pump.until_still()
    ledger.store.sql("UPDATE hooks SET old_secrets_until = now() - interval '1 ms'")
    ledger.pass_time()
    pump.until_still()

    first, second, third = receiver.got
    verify(first)
    verify(second)
    verify(second, new)
    verify(third, new)
    counts = [len(got.headers["webhook-signature"].split()) for got in receiver.got]
    assert counts == [1, 2, 1]


def test_a_secret_at_rest_is_encrypted_and_signs_all_the_same(
    ledger: Ledger, new_receiver: NewReceiver, new_pump: NewPump
) -> None:
    receiver = new_receiver()
    ledger.accept(url=receiver.url, secrets=(Seal([KEY]).seal(SECRET),))

    new_pump(FOREMAN_SECRET_KEY=KEY).until(lambda: receiver.got)

    verify(receiver.got[0])
    (row,) = ledger.store.sql("SELECT secrets FROM hooks")
    assert SECRET not in row["secrets"][0]


def test_a_secret_that_cannot_be_read_costs_no_attempt(
    ledger: Ledger, new_receiver: NewReceiver, new_pump: NewPump
) -> None:
    receiver = new_receiver()
    job = ledger.accept(url=receiver.url, secrets=(Seal([KEY]).seal(SECRET),))

    new_pump().until_still()

    (owed,) = ledger.owed(job.id)
    assert (owed.row["state"], owed.row["attempts"], receiver.got) == ("pending", 0, [])
    assert ledger.waits_s(job.id)[0] > 30


def test_the_default_receiver_gets_what_foremans_own_secrets_sign(
    ledger: Ledger, new_receiver: NewReceiver, new_pump: NewPump
) -> None:
    receiver = new_receiver()
    other = "whsec_" + "b3RoZXIr" * 4
    ledger.accept(url=receiver.url, secrets=())

    new_pump(FOREMAN_WEBHOOK_SECRET=f"{other},{SECRET}").until(lambda: receiver.got)

    verify(receiver.got[0])
    verify(receiver.got[0], other)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_blocked_address_is_an_attempt_like_others(
    ledger: Ledger, new_pump: NewPump, host: str
) -> None:
    job = ledger.accept(url=f"http://{host}:{free_port()}/")

    new_pump(FOREMAN_WEBHOOK_ALLOW="").until_still()

    (attempt,) = ledger.attempts(ledger.owed(job.id)[0].id)
    assert (attempt["error_class"], attempt["excerpt"]) == ("blocked", "")


def test_what_could_not_be_recorded_is_recorded_when_the_database_is_back(
    ledger: Ledger, new_receiver: NewReceiver, new_pump: NewPump, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = threading.Event()
    receiver = new_receiver(fakes.after(go))
    job = ledger.accept(url=receiver.url)
    pump = new_pump()
    pump.until(lambda: receiver.got)

    def fail() -> AbstractContextManager[Connection]:
        raise DatabaseUnavailable

    with monkeypatch.context() as away:
        away.setattr(ledger.store.database, "transaction", fail)
        go.set()
        for _ in range(3):
            with pytest.raises(DatabaseUnavailable):
                pump.pump.turn(idle_s=0.1)
    pump.until(lambda: ledger.states(job.id) == ["succeeded"])

    assert len(receiver.got) == 1


class Turns:
    """Counts the transactions of a database."""

    def __init__(self, database: Database, patch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self._begin = database.transaction
        patch.setattr(database, "transaction", self._counted)

    def _counted(self) -> AbstractContextManager[Connection]:
        self.count += 1
        return self._begin()


def test_a_pump_that_is_told_to_stop_records_what_is_under_way(
    ledger: Ledger, new_receiver: NewReceiver, new_pump: NewPump, monkeypatch: pytest.MonkeyPatch
) -> None:
    go, stop = threading.Event(), threading.Event()
    turns = Turns(ledger.store.database, monkeypatch)
    receiver = new_receiver(fakes.after(go))
    job = ledger.accept(url=receiver.url)
    thread = threading.Thread(target=new_pump().pump.run, args=(stop,), daemon=True)
    thread.start()
    receiver.wait(1)

    stop.set()
    before = turns.count
    wait_for(lambda: turns.count > before + 2)
    go.set()
    thread.join(10)

    assert not thread.is_alive()
    assert ledger.states(job.id) == ["succeeded"]
