"""The queues of residencies that nobody uses are removed; those that somebody uses stay."""

import pytest
from kombu import Consumer

from foreman.adapters.broker import model_queue
from foreman.core.queues import JobClass, class_queue
from foreman.services.old_queues import remove_old_queues
from foreman.store import old_queues
from tests.integration.old_queues.ground import BATCH_QUEUE, DAYS, QUEUE, Ground

PINNED = class_queue(QUEUE, JobClass.BATCH, "gpu1")


def test_the_queues_go_after_the_last_job(rabbit: Ground) -> None:
    jobs = [rabbit.queued(), rabbit.queued(job_class=JobClass.BATCH, pinned_target="gpu1")]
    for job, name in zip(jobs, (QUEUE, PINNED), strict=True):
        rabbit.send(job)
        assert rabbit.take(name) == job.id
        rabbit.end(job)
    rabbit.declare(BATCH_QUEUE)  # as a worker does that listens
    rabbit.declare("model.other")
    assert rabbit.clean() == 0  # the jobs are still there

    assert rabbit.remove_jobs() == 2
    assert rabbit.clean() == 1

    assert [rabbit.has(name) for name in (QUEUE, BATCH_QUEUE, PINNED)] == [False] * 3
    assert rabbit.has("model.other")
    assert (rabbit.notes(), rabbit.clean()) == (0, 0)


def test_messages_of_jobs_that_are_over_go_with_it(ground: Ground) -> None:
    jobs = [ground.queued() for _ in range(3)]
    for job in jobs:
        ground.send(job)
    for job in jobs:
        ground.end(job)
    ground.remove_jobs()
    assert ground.length() == 3

    assert ground.clean() == 1

    assert not ground.has()


def test_a_queue_with_a_message_that_counts_stays(ground: Ground) -> None:
    old = ground.queued()
    ground.end(old)
    ground.remove_jobs()
    elsewhere = ground.queued(queue="model.other")
    # Under a name that is not its own: its residency is busy, this one is idle.
    ground.send(elsewhere)
    with ground.connection.channel() as channel:
        model_queue(QUEUE)(channel).declare()
        headers = {"id": str(elsewhere.id)}
        ground.connection.Producer(channel).publish({}, routing_key=QUEUE, headers=headers)

    assert ground.clean() == 0

    assert (ground.length(), ground.notes()) == (1, 1)
    ground.end(elsewhere)
    assert ground.clean() == 1
    assert not ground.has()


def test_a_queue_with_a_consumer_stays_and_is_looked_at_after_the_others(rabbit: Ground) -> None:
    names = [QUEUE, "model.other"]
    for name in names:
        rabbit.end(rabbit.queued(queue=name))
        rabbit.remove_jobs()
        rabbit.declare(name)
    with rabbit.connection.channel() as channel:
        consumer = Consumer(channel, [model_queue(QUEUE)], auto_declare=False)
        consumer.consume()

        assert rabbit.clean() == 1

        assert [rabbit.has(name) for name in names] == [True, False]
        assert rabbit.notes() == 1
    assert rabbit.clean() == 1
    assert not rabbit.has()


@pytest.mark.parametrize("use", ["waits", "works", "paused", "succeeded", "resident", "loading"])
def test_a_residency_that_is_used_is_not_idle(ground: Ground, use: str) -> None:
    ground.end(ground.queued())
    ground.remove_jobs()
    store = ground.store
    if use == "works":
        store.working(queue=QUEUE)
    elif use in ("waits", "paused", "succeeded"):
        job = ground.queued()
        if use == "paused":
            store.set(job.id, "ready_at = now() + interval '1 h'")
        if use == "succeeded":
            ground.end(job, days_ago=DAYS - 1)
    else:
        store.sql(
            "INSERT INTO residents (target, queue, is_loading) VALUES ('gpu', :queue, :is_loading)",
            queue=QUEUE,
            is_loading=use == "loading",
        )

    assert store.do(old_queues.idle_residencies, older_than_days=DAYS) == []


def test_a_note_that_was_made_meanwhile_is_not_forgotten(ground: Ground) -> None:
    ground.end(ground.queued())
    ground.remove_jobs()
    (seen,) = ground.store.do(old_queues.idle_residencies, older_than_days=DAYS)

    ground.end(ground.queued(job_class=JobClass.BATCH))
    ground.end(ground.queued())
    ground.remove_jobs()
    ground.store.do(old_queues.forget, seen)

    (left,) = ground.store.do(old_queues.idle_residencies, older_than_days=DAYS)
    assert set(left.notes) == {("interactive", ""), ("batch", "")}


def test_without_retention_nothing_is_removed(rabbit: Ground) -> None:
    rabbit.end(rabbit.queued())
    rabbit.remove_jobs()
    rabbit.declare(QUEUE)

    assert remove_old_queues(rabbit.runtime, older_than_days=None) == 0

    assert rabbit.has()
