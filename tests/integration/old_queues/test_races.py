"""A message that comes while its queue is removed, or after it, is never lost."""

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from kombu.exceptions import ChannelError

from foreman.adapters.broker import connect_to_drain
from foreman.adapters.intake import Intake
from foreman.adapters.queue_removal import remove_queue
from foreman.services import old_queues as cleaning
from foreman.services.relay import Relay
from foreman.store import old_queues
from foreman.store.jobs import NewJob
from tests.integration.old_queues.ground import BATCH_QUEUE, QUEUE, Ground
from tests.integration.store.ground import race
from tests.stack import wait_for

ROUNDS = 40


def forget_queue(ground: Ground, name: str = QUEUE) -> None:
    """Remove it whatever is in it: the worst that may happen."""
    channel: Any = ground.connection.channel()
    with channel:
        if ground.runtime.settings.is_redis:
            channel.queue_purge(name)
        else:
            channel.queue_delete(name)


def test_a_publisher_that_had_declared_the_queue_declares_it_anew(ground: Ground) -> None:
    first, second = ground.queued(), ground.queued()
    ground.send(first)
    assert ground.take() == first.id
    assert remove_queue(ground.connection, QUEUE, lambda _: True)
    assert not ground.has()

    ground.send(second)

    assert ground.take() == second.id
    assert ground.take() is None


def test_a_queue_that_is_removed_again_and_again_is_an_error(
    rabbit: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    rabbit.send(rabbit.queued())
    send = rabbit.runtime.celery.amqp.send_task_message

    def send_too_late(*given: Any, **options: Any) -> None:
        forget_queue(rabbit)
        send(*given, **options)

    monkeypatch.setattr(rabbit.runtime.celery.amqp, "send_task_message", send_too_late)
    with pytest.raises(ChannelError, match="removed again and again"):
        rabbit.send(rabbit.queued())


def test_a_message_that_went_with_its_queue_is_sent_again_by_a_relay_that_had_declared_it(
    ground: Ground,
) -> None:
    relay = Relay(ground.runtime)
    job = ground.queued()
    ground.store.set(job.id, "published_at = NULL")
    assert relay.publish_owed() == 1
    forget_queue(ground)

    ground.store.set(job.id, "published_at = now() - interval '1 h'")
    assert relay.publish_lost() == 1

    assert ground.take() == job.id
    relay.close()


def test_a_message_that_went_while_its_queue_was_removed_is_sent_again_at_once(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    ground.end(ground.queued())
    ground.remove_jobs()
    relay = Relay(ground.runtime)
    came: list[NewJob] = []

    def remove(*given: object) -> bool:
        """A job comes after the last look, and its message goes with the queue."""
        if not came:
            came.append(ground.queued())
            ground.send(came[0])
            forget_queue(ground)
        return True

    monkeypatch.setattr(cleaning, "remove_queue", remove)
    ground.clean()
    assert ground.take() is None

    assert relay.publish() == 1
    assert ground.take() == came[0].id
    relay.close()


def test_a_job_that_is_published_while_its_queue_is_removed_has_its_message(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    relay = Relay(ground.runtime)
    rng = random.Random(7)
    removed = 0
    for number in range(ROUNDS):
        ground.end(ground.queued())
        ground.remove_jobs()
        ground.declare(QUEUE)
        # The last look at the rows is over: in every second round the queue is gone as well.
        is_time = threading.Event()

        def remove(
            *given: Any, is_time: threading.Event = is_time, is_late: bool = number % 2 == 1
        ) -> bool:
            if not is_late:
                is_time.set()
            is_gone = remove_queue(*given)
            is_time.set()
            return is_gone

        def publish(
            is_time: threading.Event = is_time, delay_s: float = rng.uniform(0, 0.005)
        ) -> str:
            assert is_time.wait(10)
            time.sleep(delay_s)
            job = ground.queued()
            ground.send(job)
            return str(job.id)

        monkeypatch.setattr(cleaning, "remove_queue", remove)
        job_id, count = race(publish, lambda: str(ground.clean()))
        removed += int(count)
        relay.publish_owed()

        got = set()
        while (taken := ground.take()) is not None:
            got.add(str(taken))
        assert got == {job_id}
        ground.store.sql("DELETE FROM jobs")
    assert removed >= ROUNDS // 2
    relay.close()


@contextmanager
def open_intake(ground: Ground) -> Iterator[Intake]:
    """A worker's end of the broker."""
    settings = ground.runtime.settings
    with connect_to_drain(settings) as connection:
        yield Intake(connection, settings, on_lost=lambda channel: None)


def test_a_worker_finds_a_queue_that_was_removed_since_it_asked_it(ground: Ground) -> None:
    with open_intake(ground) as intake:
        assert [intake.get(name) for name in (QUEUE, BATCH_QUEUE)] == [None, None]
        for _ in range(2):
            for name in (QUEUE, BATCH_QUEUE):
                remove_queue(ground.connection, name, lambda _: True)

            assert [intake.get(name) for name in (QUEUE, BATCH_QUEUE)] == [None, None]
            job = ground.queued()
            ground.send(job)
            message = intake.get(QUEUE)
            assert message is not None
            message.ack()
            assert message.headers["id"] == str(job.id)


def test_a_worker_listens_to_a_queue_that_was_removed_since_it_listened(ground: Ground) -> None:
    names = [BATCH_QUEUE, QUEUE]
    with open_intake(ground) as intake:
        intake.park(names)
        assert intake.drain() is None
        assert intake.release() is None
        intake.settle()
        for name in names:
            remove_queue(ground.connection, name, lambda _: True)

        job = ground.queued()
        ground.send(job)
        intake.park(names)
        got = wait_for(intake.drain)
        assert got is not None
        name, message = got
        message.ack()
        intake.release()
        assert (name, message.headers["id"]) == (QUEUE, str(job.id))


def test_a_crash_before_the_second_look_costs_no_job(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    ground.end(ground.queued())
    ground.remove_jobs()

    def crash(*given: object) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(old_queues, "unpublish_queued", crash)
        with pytest.raises(KeyboardInterrupt):
            ground.clean()

    assert ground.notes() == 1
    assert ground.clean() == 1
    assert ground.notes() == 0
