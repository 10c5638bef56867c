"""The one place that builds live things: pools, connections, threads. One class a kind of process.

Everything else is given what it needs from here, so that tests can give it something else.
"""

import gc
import queue
from functools import partial
from uuid import UUID

from celery import Celery
from kombu import Connection

from foreman.adapters import broker
from foreman.adapters.catalog import Catalog
from foreman.adapters.channel import SEND_LIMIT_S, Flow, Senders
from foreman.adapters.inbox import SILENCE_LIMIT_S, Inbox
from foreman.adapters.publisher import Publisher
from foreman.adapters.reports import Reporter
from foreman.adapters.target import TargetClient
from foreman.adapters.webhook import WebhookClient
from foreman.config import Settings
from foreman.core.credit import window_bytes
from foreman.core.room import Room
from foreman.core.sealed import new_key
from foreman.ids import new_id
from foreman.pulse import Pulse
from foreman.scheduling.prospect import Prospect
from foreman.store.db import STATEMENT_LIMIT_S, Database
from foreman.store.queue_rows import QueueFacts
from foreman.store.targets import read_frame_key
from foreman.turns import Turns

WEB_POOL = 8
WORKER_POOL = 8  # at least, and one for each slot: as many again may be taken for a while
RELAY_POOL = 3  # relay, reaper, webhook pump
# The least that a heartbeat has to reach the database.
BEAT_LIMIT_S = 2.0


def _clients(settings: Settings, connections: int) -> dict[str, TargetClient]:
    return {
        spec.name: TargetClient(
            spec,
            silence_s=settings.target_silence_s,
            connections=spec.slots + connections,
            ca_file=settings.ca_file,
        )
        for spec in settings.targets
    }


def _window_bytes(settings: Settings) -> int:
    slots = sum(target.slots for target in settings.targets)
    return window_bytes(settings.stream_buffer_bytes, slots=slots)


def _senders(settings: Settings, database: Database) -> Senders:
    def key_of(web_id: UUID) -> bytes | None:
        with database.statement() as connection:
            return read_frame_key(connection, web_id)

    # The web process notices a client that takes nothing, and cancels; the worker only makes sure.
    flow = Flow(_window_bytes(settings), patience_s=settings.client_timeout_s + settings.lease_s)
    connect = partial(broker.connect, settings, wait_limit_s=SEND_LIMIT_S)
    return Senders(connect, flow, key_of, is_redis=settings.is_redis)


def _beating(settings: Settings) -> Database:
    """For what has to be written several times a lease: one lost statement costs no lease."""
    limit_s = max(settings.lease_s / 4, BEAT_LIMIT_S)
    return Database(
        settings.database_url, pool_size=2, statement_limit_s=min(limit_s, STATEMENT_LIMIT_S)
    )


def keep_for_good() -> None:
    """Called at the end of a process's start: no garbage collection looks through it again.

    One that does takes 60 ms, in which no token moves.
    """
    gc.collect()
    gc.freeze()


class WebRuntime:
    """What one web process holds."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.web_id: UUID = new_id()
        self.database = Database(settings.database_url, pool_size=WEB_POOL)
        # Of its own: however busy the others are, the heartbeat waits for no connection.
        self.heartbeat = _beating(settings)
        # What was read and written of late: readiness goes by these, and asks nobody.
        self.reads, self.writes = Pulse(), Pulse()
        self.targets = _clients(settings, settings.bypass_concurrency)
        self.catalog = Catalog(self.targets)
        self.turns = Turns()
        self.is_stopping = False
        self.leased: frozenset[str] = frozenset()  # targets that a worker drives
        self.queues = QueueFacts([], [], {})  # a second old at most
        self.room = Room()  # what of them waits, and what was accepted since
        self.prospect = Prospect()  # what they may expect; a few seconds old at most
        # Pairs of target and canonical model: embedding models that were used, those now kept.
        self.embedded: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()
        self.kept: frozenset[tuple[str, str]] = frozenset()
        self.unsent: queue.SimpleQueue[UUID] = queue.SimpleQueue()
        self.answering: queue.SimpleQueue[UUID] = queue.SimpleQueue()
        self.overflowed: queue.SimpleQueue[UUID] = queue.SimpleQueue()
        self.celery: Celery = broker.make_celery(settings)
        self.reporter = Reporter(
            partial(
                broker.connect,
                settings,
                wait_limit_s=broker.PUBLISH_LIMIT_S,
                confirm_publish=False,
            )
        )
        self.frame_key = new_key()
        self.inbox = self._inbox()
        self.publisher = Publisher(
            self.celery,
            partial(broker.connect, settings, wait_limit_s=broker.PUBLISH_LIMIT_S),
            self.unsent.put,
        )

    def _inbox(self) -> Inbox:
        settings = self.settings
        return Inbox(
            self.web_id,
            partial(
                broker.connect,
                settings,
                heartbeat_s=broker.HEARTBEAT_S,
                wait_limit_s=SILENCE_LIMIT_S,
                confirm_publish=False,
            ),
            self.frame_key,
            is_redis=settings.is_redis,
            window_bytes=_window_bytes(settings),
            report=self.reporter.put,
            on_overflow=self.overflowed.put,
        )

    @property
    def live_targets(self) -> frozenset[str]:
        """The targets that a worker drives and that answer: by these a request is judged."""
        return self.leased.intersection(self.catalog.reachable)

    def close(self) -> None:
        self.publisher.close()
        self.inbox.close()
        self.reporter.close()
        for client in self.targets.values():
            client.close()
        self.database.close()
        self.heartbeat.close()


class WorkerRuntime:
    """What one worker process holds."""

    def __init__(self, settings: Settings, *, worker: str) -> None:
        self.settings = settings
        self.worker = worker
        slots = max(target.slots for target in settings.targets)
        self.database = Database(settings.database_url, pool_size=max(WORKER_POOL, slots + 3))
        self.leases = _beating(settings)  # for the same reason
        self.targets = _clients(settings, connections=2)
        self.catalog = Catalog(self.targets)
        self.senders = _senders(settings, self.database)

    def close(self) -> None:
        self.senders.close()
        for client in self.targets.values():
            client.close()
        self.database.close()
        self.leases.close()


class RelayRuntime:
    """What one relay process holds."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.database = Database(settings.database_url, pool_size=RELAY_POOL)
        self.celery: Celery = broker.make_celery(settings)
        self.senders = _senders(settings, self.database)
        self.webhooks = WebhookClient(allow=settings.webhook_allow, ports=settings.webhook_ports)

    def connect(self) -> Connection:
        """A connection for publishing that never waits for long."""
        return broker.connect(self.settings, wait_limit_s=broker.PUBLISH_LIMIT_S)

    def close(self) -> None:
        self.senders.close()
        self.database.close()
