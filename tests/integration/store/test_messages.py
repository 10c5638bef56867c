"""Messages that are owed, sent, lost: what the relay reads and notes."""

import pytest

from foreman.core.queues import JobClass, Wakeup
from foreman.store import runs, upkeep
from tests.integration.store.ground import Store


def ids(wakeups: list[Wakeup]) -> list[object]:
    return [wakeup.job_id for wakeup in wakeups]


def test_an_accepted_job_owes_nothing_to_the_relay(store: Store) -> None:
    store.queued()

    assert store.do(upkeep.unpublished) == []


def test_a_message_that_could_not_be_sent_is_owed(store: Store) -> None:
    web_id = store.web()
    job = store.queued(web_id=web_id)

    store.do(upkeep.unpublish, [job.id])

    assert store.do(upkeep.unpublished) == [Wakeup(job.id, job.queue, job.model, web_id)]


def test_what_is_owed_comes_oldest_first(store: Store) -> None:
    by_age = {age: store.queued(queue=f"q{age}").id for age in (2, 0, 4, 1, 3)}
    for age, job_id in by_age.items():
        store.set(job_id, f"queued_at = now() - interval '{age} s'")

    store.do(upkeep.unpublish, list(by_age.values()))

    assert ids(store.do(upkeep.unpublished)) == [by_age[age] for age in (4, 3, 2, 1, 0)]


def test_only_a_queued_job_owes_a_message(store: Store) -> None:
    claim = store.working()

    store.do(upkeep.unpublish, [claim.job_id])

    assert store.do(upkeep.unpublished) == []
    assert store.row(claim.job_id)["published_at"] is not None


def test_a_sent_message_is_owed_no_more_and_counted(store: Store) -> None:
    job = store.queued()
    store.do(upkeep.unpublish, [job.id])

    store.do(upkeep.mark_published, [job.id])

    row = store.row(job.id)
    assert store.do(upkeep.unpublished) == []
    assert (row["published_at"] is None, row["publish_tries"]) == (False, 2)


def test_two_relays_do_not_send_the_same_message(store: Store) -> None:
    job = store.queued()
    store.do(upkeep.unpublish, [job.id])

    with store.database.transaction() as one, store.database.transaction() as other:
        assert ids(upkeep.unpublished(one)) == [job.id]
        assert upkeep.unpublished(other) == []


# After so many sendings, so many seconds without a claim make a message overdue.
PATIENCE = [(1, 15), (2, 30), (3, 60), (4, 60), (99, 60)]


@pytest.mark.parametrize(("tries", "patience_s"), PATIENCE)
def test_a_message_is_looked_for_with_growing_patience(
    store: Store, tries: int, patience_s: int
) -> None:
    job = store.queued()

    store.set(
        job.id, f"publish_tries = {tries}, published_at = now() - interval '{patience_s - 1} s'"
    )
    assert store.do(upkeep.overdue_messages) == []

    store.set(job.id, f"published_at = now() - interval '{patience_s} s'")
    assert ids(store.do(upkeep.overdue_messages)) == [job.id]


def test_overdue_messages_come_oldest_first(store: Store) -> None:
    by_age = {age: store.queued(queue=f"q{age}").id for age in (2, 0, 4, 1, 3)}
    for age, job_id in by_age.items():
        store.set(job_id, f"published_at = now() - interval '1 h {age} s'")

    overdue = store.do(upkeep.overdue_messages)

    assert ids(overdue) == [by_age[age] for age in (4, 3, 2, 1, 0)]


def test_only_a_published_job_that_waits_has_an_overdue_message(store: Store) -> None:
    store.working()
    unpublished = store.queued().id
    store.sql("UPDATE jobs SET published_at = now() - interval '1 h'")

    store.do(upkeep.unpublish, [unpublished])

    assert store.do(upkeep.overdue_messages) == []


def test_a_message_that_was_sent_again_is_waited_for_again(store: Store) -> None:
    job = store.queued()
    store.set(job.id, "published_at = now() - interval '1 h'")

    store.do(upkeep.mark_published, [job.id])

    assert store.do(upkeep.overdue_messages) == []


def test_two_relays_do_not_look_for_the_same_message(store: Store) -> None:
    job = store.queued()
    store.set(job.id, "published_at = now() - interval '1 h'")

    with store.database.transaction() as one, store.database.transaction() as other:
        assert ids(upkeep.overdue_messages(one)) == [job.id]
        assert upkeep.overdue_messages(other) == []


def test_no_message_is_no_work(store: Store) -> None:
    store.do(upkeep.mark_published, [])
    store.do(upkeep.unpublish, [])

    assert store.do(upkeep.unpublished) == store.do(upkeep.overdue_messages) == []


def test_waiting_queues_are_counted_by_their_rows(store: Store) -> None:
    first = store.queued(queue="a", model="a:latest")
    store.queued(queue="a", model="a:latest")
    store.queued(queue="a", model="a:latest", job_class=JobClass.BATCH)
    store.queued(queue="b", model="b:latest", pinned_target="gpu")
    store.working(queue="c")
    store.set(first.id, "queued_at = now() - interval '1 h'")

    waiting = sorted(store.do(upkeep.waiting_queues), key=lambda each: each.name)

    assert [(each.name, each.model, each.count) for each in waiting] == [
        ("a", "a:latest", 2),
        ("a~batch", "a:latest", 1),
        ("b~at~gpu", "b:latest", 1),
    ]
    assert 3600 <= waiting[0].wait_s < 3700
    assert 0 <= waiting[1].wait_s < 60


def test_a_job_in_the_pause_before_another_attempt_does_not_wait_yet(store: Store) -> None:
    job = store.queued()
    store.set(job.id, "published_at = NULL, ready_at = now() + interval '1 h'")

    assert store.do(upkeep.waiting_queues) == []
    assert store.do(upkeep.unpublished) == []

    store.set(job.id, "ready_at = now() - interval '1 ms'")
    assert [each.count for each in store.do(upkeep.waiting_queues)] == [1]
    assert ids(store.do(upkeep.unpublished)) == [job.id]


def test_a_message_goes_to_the_queue_of_its_class_and_its_target(store: Store) -> None:
    job = store.queued(queue="a", job_class=JobClass.BATCH, pinned_target="gpu")
    store.do(upkeep.unpublish, [job.id])

    (wakeup,) = store.do(upkeep.unpublished)

    assert wakeup.queue == "a~batch~at~gpu"


def test_a_job_that_was_given_back_heads_its_queue_by_its_first_wait(store: Store) -> None:
    claim = store.working(queue="a")
    store.set(claim.job_id, "queued_at = now() - interval '1 h'")
    store.queued(queue="a")
    store.do(runs.give_back, claim.job_id, claim.fence, reason="shutting_down")

    (waiting,) = store.do(upkeep.waiting_queues)

    assert waiting.count == 2
    assert 3600 <= waiting.wait_s < 3700


def test_messages_that_a_worker_misses_are_looked_for_at_once(store: Store) -> None:
    lost, young, other = (store.queued(queue=queue) for queue in ("q", "q", "other"))
    for job in (lost, other):
        store.set(job.id, "published_at = now() - interval '5 s', publish_tries = 6")

    assert store.do(upkeep.overdue_messages) == []
    assert store.do(upkeep.doubt_messages, "q", younger_s=2.0) == 1

    assert ids(store.do(upkeep.overdue_messages)) == [lost.id]
    assert young.id not in ids(store.do(upkeep.overdue_messages))


def test_a_message_that_was_looked_for_is_not_looked_for_again_at_once(store: Store) -> None:
    job = store.queued(queue="q")
    store.set(job.id, "published_at = now() - interval '5 s'")
    store.do(upkeep.doubt_messages, "q", younger_s=2.0)

    store.do(upkeep.mark_published, [job.id])

    assert store.do(upkeep.doubt_messages, "q", younger_s=2.0) == 0
    assert store.do(upkeep.overdue_messages) == []
