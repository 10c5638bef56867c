"""What a broker does to messages: it loses, doubles and refuses them, and carries others'."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import redis
from kombu import Connection

from foreman.adapters import broker
from foreman.config import from_env
from foreman.core.queues import JobClass, Wakeup, class_queue
from tests.chaos.row import Promise, Row, Scene, Sees
from tests.chaos.rows.faults import at_once
from tests.servers import RabbitServer

PART = "broker"
# More jobs than slots, so that messages wait.
BURST, BURST_S = 24, 0.7
GARBAGE = (b"", b"\xff\xfe no text", b'{"a": "message of somebody else\'s"}')


def _purge(scene: Scene) -> None:
    _fill(scene)
    with Connection(scene.ground.broker_url) as connection:
        for name in scene.ground.model_queues():
            with suppress(*connection.channel_errors, KeyError):
                channel: Any = connection.channel()
                channel.queue_purge(name)


def _delete(scene: Scene) -> None:
    _fill(scene)
    with Connection(scene.ground.broker_url) as connection:
        for name in scene.ground.model_queues():
            with suppress(*connection.channel_errors, KeyError):
                channel: Any = connection.channel()
                channel.queue_delete(name)


def _wipe(scene: Scene) -> None:
    """FLUSHALL, or the virtual host deleted and made anew."""
    _fill(scene)
    server = scene.ground.servers.broker
    if not isinstance(server, RabbitServer):
        with redis.Redis.from_url(scene.ground.broker_url) as client:
            client.flushall()
        return
    space = scene.ground.broker_url.rpartition("/")[2]
    server.ctl("delete_vhost", space)
    server.ctl("add_vhost", space)
    server.ctl("set_permissions", "-p", space, "guest", ".*", ".*", ".*")


@contextmanager
def _alarm(scene: Scene) -> Iterator[None]:
    """RabbitMQ takes no more messages: it believes that it has no memory."""
    server = scene.ground.servers.broker
    assert isinstance(server, RabbitServer)
    server.ctl("set_vm_memory_high_watermark", "absolute", "1MB")
    try:
        yield
    finally:
        server.ctl("set_vm_memory_high_watermark", "0.4")


@contextmanager
def _double(scene: Scene) -> Iterator[None]:
    """Each message of a job that waits or runs comes again, three times."""
    urls = {"DATABASE_URL": "postgres://db/none", "FOREMAN_BROKER_URL": scene.ground.broker_url}
    settings = from_env(urls)
    celery = broker.make_celery(settings)
    _fill(scene)
    with broker.connect(settings) as connection:
        producer = celery.amqp.Producer(connection.default_channel, auto_declare=False)
        for _ in range(3):
            query = (
                "SELECT id, queue, job_class, pinned_target, model, web_id FROM jobs"
                " WHERE ended_at IS NULL"
            )
            for row in scene.ground.rows(query):
                name = class_queue(row["queue"], JobClass(row["job_class"]), row["pinned_target"])
                wakeup = Wakeup(row["id"], name, row["model"], row["web_id"])
                broker.send_wakeup(celery, producer, wakeup)
            time.sleep(0.5)
    yield


@contextmanager
def _garbage(scene: Scene) -> Iterator[None]:
    """Messages that are no job's, some of them empty, in all model queues."""
    with Connection(scene.ground.broker_url) as connection:
        producer = connection.Producer()
        for name in scene.ground.model_queues():
            for body in GARBAGE:
                producer.publish(
                    body,
                    exchange="",
                    routing_key=name,
                    content_type="application/json",
                    content_encoding="utf-8",
                )
    yield


def _fill(scene: Scene) -> None:
    scene.load.burst(BURST)
    time.sleep(BURST_S)


_LOST = Promise(
    says="jobs whose messages are lost start after 15 s", sees=Sees.WAITS, accepts=True,
    ends=4, also_s=15,
)  # fmt: skip
BROKER_ROWS = [
    Row(name="queues-purged", part=PART, does="all model queues are purged while messages wait",
        fault=at_once(_purge), holds=0, promise=_LOST),
    Row(name="queues-deleted", part=PART, does="all model queues are deleted while messages wait",
        fault=at_once(_delete), holds=0, promise=_LOST),
    Row(name="broker-wiped", part=PART, does="FLUSHALL; the virtual host is deleted and made anew",
        fault=at_once(_wipe), holds=0,
        promise=Promise(says="streams under way may end with an error; no job is lost",
                        recovers=3, ends=8)),
    Row(name="memory-alarm", part=PART, does="RabbitMQ blocks publishers", fault=_alarm,
        holds=3, brokers=("rabbitmq",),
        promise=Promise(says="`POST /jobs` is answered with 202; streams may end with an error",
                        accepts=True, ends=8)),
    Row(name="messages-doubled", part=PART, does="each message comes four times", fault=_double,
        holds=0, promise=Promise(says="nobody notices", sees=Sees.NOTHING, accepts=True),
        is_short=True),
    Row(name="messages-garbage", part=PART, does="undecodable and empty messages in all queues",
        fault=_garbage, holds=0,
        promise=Promise(says="nobody notices", sees=Sees.NOTHING, accepts=True)),
]  # fmt: skip
