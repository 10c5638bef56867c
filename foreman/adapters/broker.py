"""The broker: Celery's settings for it, connections with bounds, one message for one job.

The one place that knows the two brokers apart. `celery_app` makes its Celery instance from here,
so that who sends and who receives agree.
"""

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from celery import Celery
from kombu import Connection, Exchange, Producer, Queue
from kombu.exceptions import ChannelError
from kombu.pidbox import Mailbox

from foreman.adapters import amqp_transport, redis_transport
from foreman.config import Settings
from foreman.core.broker_tls import BrokerTls, read_tls, with_options
from foreman.core.queues import Wakeup

RUN_JOB = "foreman.generate"
CANCEL = "foreman_cancel"
REPORT = "foreman_taken"

CONNECT_LIMIT_S = 5
# RabbitMQ and we notice within two of these that the other is silent.
HEARTBEAT_S = 10
# No answer of the broker is waited for any longer, unless the caller says so.
WAIT_LIMIT_S = 5.0
PUBLISH_LIMIT_S = 3
# How long a BRPOP of the drain's connection blocks: a change of plan waits for it.
BRPOP_S = 0.05
# A queue that is removed between its declaration and a message, and once more, is not tried again.
SENDS_LIMIT = 3
AMQP_NOT_FOUND = 404

# A peer that vanishes without a word, as of PostgreSQL: noticed within some 15 s.
_TCP_OPTIONS = {
    getattr(socket, name): value
    for name, value in {
        "TCP_KEEPIDLE": 5,
        "TCP_KEEPINTVL": 5,
        "TCP_KEEPCNT": 2,
        "TCP_USER_TIMEOUT": 15_000,  # milliseconds; Linux alone has it
    }.items()
    if hasattr(socket, name)
}

_REDIS_OPTIONS = {
    # One list a queue: steps of priority would make another model's message overtake.
    "priority_steps": [0],
    # Longer than any job waits unacknowledged (it is acknowledged at its claim).
    "visibility_timeout": 4 * 3600,
    "socket_timeout": WAIT_LIMIT_S,
    "socket_connect_timeout": CONNECT_LIMIT_S,
    "socket_keepalive": True,
    "socket_keepalive_options": _TCP_OPTIONS,
    # A BRPOP without its answer is given up after this, a subscription after a few of them.
    "health_check_interval": 5,
}
_AMQP_OPTIONS = {
    "confirm_publish": True,
    "connect_timeout": CONNECT_LIMIT_S,
    "socket_settings": _TCP_OPTIONS,
    # Of no use under gevent; our own connections have `wait_limit_s`, Celery's has these alone.
    "read_timeout": 2 * WAIT_LIMIT_S,
    "write_timeout": 2 * WAIT_LIMIT_S,
}


def transport_options(settings: Settings) -> dict[str, Any]:
    return dict(_REDIS_OPTIONS if settings.is_redis else _AMQP_OPTIONS)


def url(settings: Settings) -> str:
    """The broker's URL as kombu reads it.

    A `rediss://` URL says all of its TLS itself: kombu would not verify one that says nothing. In
    an `amqps://` URL kombu would not understand the parameters.
    """
    tls = read_tls(settings.broker_url)
    if tls is None or not settings.is_redis:
        return with_options(settings.broker_url, {}) if tls else settings.broker_url
    files = {
        "ssl_ca_certs": tls.ca_file,
        "ssl_certfile": tls.cert_file,
        "ssl_keyfile": tls.key_file,
    }
    return with_options(
        settings.broker_url,
        {
            "ssl_cert_reqs": "required" if tls.is_verified else "none",
            "ssl_check_hostname": str(_checks_host(tls)).lower(),
            **{name: file for name, file in files.items() if file},
        },
    )


def tls_options(settings: Settings) -> dict[str, Any] | None:
    """The TLS options of the broker's library, for kombu's `ssl`; None without TLS."""
    tls = read_tls(settings.broker_url)
    if tls is None:
        return None
    prefix = "ssl_" if settings.is_redis else ""
    options: dict[str, Any] = {
        "cert_reqs": ssl.CERT_REQUIRED if tls.is_verified else ssl.CERT_NONE,
        "ca_certs": tls.ca_file,
        "certfile": tls.cert_file,
        "keyfile": tls.key_file,
    }
    if settings.is_redis:
        options["check_hostname"] = _checks_host(tls)
    elif _checks_host(tls):
        # py-amqp compares with this name, and with none when it is not given.
        options["server_hostname"] = tls.host
    return {prefix + name: value for name, value in options.items() if value is not None}


def _checks_host(tls: BrokerTls) -> bool:
    return tls.is_verified and tls.checks_host


def make_celery(settings: Settings, *, has_confirms: bool = True) -> Celery:
    """A Celery application that speaks to foreman's broker; it connects when first used.

    Without confirms for a worker: it sends events only, from several threads, and none may wait
    for an answer on the connection that Celery's loop reads.
    """
    app = Celery("foreman", set_as_current=False)
    app.conf.update(
        broker_url=url(settings),
        # Flower's broker page reads this one.
        broker_use_ssl=tls_options(settings) or False,
        broker_transport_options=transport_options(settings)
        | ({} if has_confirms or settings.is_redis else {"confirm_publish": False}),
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_connection_timeout=CONNECT_LIMIT_S,
        broker_heartbeat=HEARTBEAT_S,
        task_default_queue="foreman.default",
        task_serializer="json",
        accept_content=["json"],
        # A message is acknowledged by its run, not by Celery; see services.slots.
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        # Results are in Postgres.
        task_ignore_result=True,
        result_backend=None,
        task_send_sent_event=True,
        worker_send_task_events=True,
        # While a slot's next job runs, the end of the last one may still be recorded.
        worker_concurrency=2 * max(target.slots for target in settings.targets),
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_enable_prefetch_count_reduction=False,
    )
    return app


def connect(
    settings: Settings,
    *,
    heartbeat_s: float = 0,
    wait_limit_s: float = WAIT_LIMIT_S,
    **options: Any,
) -> Connection:
    """A connection of the caller's own, not connected yet; `options` are transport options.

    It waits for no answer longer than `wait_limit_s`; after a TimeoutError it is to be dropped.

    With a heartbeat the caller must read from it at least that often (`drain_events`) and call
    `heartbeat_check`, or RabbitMQ closes it. One that only publishes has none: TCP's own keep-alive
    holds it open.
    """
    transport = redis_transport if settings.is_redis else amqp_transport
    limit = {"socket_timeout" if settings.is_redis else "wait_limit_s": wait_limit_s}
    return Connection(
        url(settings),
        ssl=tls_options(settings) or False,
        transport=transport.Transport,
        connect_timeout=CONNECT_LIMIT_S,
        heartbeat=heartbeat_s,
        transport_options=transport_options(settings) | limit | options,
    )


def cut(connection: Connection) -> None:
    """End what another thread waits for in a connection that `connect` has made."""
    with suppress(Exception):  # it may be closed at this moment, and is lost in any case
        connection.transport.cut()  # type: ignore[attr-defined]  # of our own transports


def connect_to_drain(settings: Settings) -> Connection:
    """A connection whose consumers can be stopped at once; connected when this returns."""
    connection = connect(settings, heartbeat_s=HEARTBEAT_S)
    if settings.is_redis:
        # Not `polling_interval`: that would also sleep between two BRPOPs.
        connection.transport.brpop_timeout = BRPOP_S  # type: ignore[attr-defined]  # of Redis only
    connection.connect()
    return connection


def settle(connection: Connection, settings: Settings) -> None:
    """After consumers were cancelled: let what a BRPOP still brings go back to its queue."""
    if settings.is_redis:
        with suppress(TimeoutError):
            connection.drain_events(timeout=1.5 * BRPOP_S)


def model_queue(name: str) -> Queue:
    """The Celery queue of one residency: durable, bound to nothing but its own name."""
    return Queue(name, Exchange(""), routing_key=name, durable=True)


def send_wakeup(app: Celery, producer: Producer, wakeup: Wakeup) -> None:
    """Send the message of one job and wait, within a limit, until a queue of the broker has it.

    A connection declares a queue before its first message only, and the queue may have been removed
    since: then the message comes back, and the queue is declared anew.
    """
    channel: Any = producer.channel
    for _ in range(SENDS_LIMIT):
        with _returned(channel) as returned:
            _publish(app, producer, wakeup)
        if not returned:
            return
        model_queue(wakeup.queue)(channel).declare()
    raise ChannelError(f"the queue {wakeup.queue} is removed again and again")


@contextmanager
def _returned(channel: Any) -> Iterator[list[str]]:
    """The queues of the messages that come back meanwhile, since there is none of this name.

    RabbitMQ returns a message before it confirms it. On Redis none comes back: a list is made by
    its first message.
    """
    returned: list[str] = []

    def note(error: Exception, exchange: str, routing_key: str, message: object) -> None:
        returned.append(routing_key)

    callbacks: set[Any] = channel.events["basic_return"] if hasattr(channel, "events") else set()
    callbacks.add(note)
    try:
        yield returned
    finally:
        callbacks.discard(note)


def _publish(app: Celery, producer: Producer, wakeup: Wakeup) -> None:
    job_id = str(wakeup.job_id)
    message = app.amqp.create_task_message(
        job_id,
        RUN_JOB,
        args=[job_id],
        reply_to=str(wakeup.web_id or ""),
        # Flower shows the model; the message carries an id and never a prompt.
        shadow=f"{RUN_JOB} {wakeup.model}",
        root_id=job_id,
        create_sent_event=True,
        ignore_result=True,
    )
    # What `send_task` ends in; its routing and its result object are not needed.
    app.amqp.send_task_message(
        producer,
        RUN_JOB,
        message,
        queue=model_queue(wakeup.queue),
        retry=False,
        confirm_timeout=PUBLISH_LIMIT_S,
        mandatory=True,
    )


def broadcast(connection: Connection, command: str, **arguments: Any) -> None:
    """Send a remote-control command to all workers, without waiting for answers."""
    mailbox = Mailbox("celery", type="fanout", accept=["json"], serializer="json")
    bound: Mailbox = mailbox(connection)  # type: ignore[assignment]  # the stub says Node
    bound.cast(None, command, arguments)  # type: ignore[arg-type]  # None: to every worker


def is_missing(error: BaseException) -> bool:
    """Whether an error of a channel, which is closed by it, says that there is no such queue."""
    return getattr(error, "reply_code", None) == AMQP_NOT_FOUND


def queue_length(connection: Connection, name: str) -> int:
    """Messages that wait in a queue; 0 when it is empty or does not exist."""
    # A missing queue closes an AMQP channel (and Redis calls an empty one missing).
    channel: Any = connection.channel()
    missing: tuple[type[BaseException], ...] = (ChannelError, *connection.channel_errors)
    with channel:
        try:
            return int(channel.queue_declare(name, passive=True).message_count)
        except missing:
            return 0
