"""The broker's thread: it does what the worker's thread last wished, and settles messages.

Nothing else of the worker waits for the broker. A message itself never leaves here but for Celery;
its tag does, a number that no other message of this process has.
"""

import itertools
import logging
import queue
import threading
from collections.abc import Callable
from contextlib import suppress

import kombu
from kombu import Connection

from foreman.adapters.broker import connect, connect_to_drain, cut
from foreman.adapters.intake import BEAT_S, Intake
from foreman.config import Settings
from foreman.worker.effects import Ack, Pull, Reconnect, Requeue, SetAside
from foreman.worker.events import Connected, Empty, Event, Message
from foreman.worker.state import Ask, Idle, Park
from foreman.worker.task_message import job_id_of

log = logging.getLogger(__name__)

RETRY_S, RETRY_LIMIT_S = 0.5, 5.0
# How long parked consumers are kept for the order that follows a message.
KEPT_S = 0.25
# Of a message that is not kept, in the log.
SHOWN_CHARACTERS = 500

_tags = itertools.count(1)
_Order = Ack | Requeue | SetAside | Pull | None  # None: stop


class BrokerThread:
    """Carries out `Pull`, `Ack`, `Requeue`, `SetAside` and `Reconnect`.

    A pull ends with its connection: after `Connected` it is to be ordered again. Every method may
    be called from any thread and returns at once, but for `stop`.
    """

    def __init__(self, settings: Settings, tell: Callable[[Event], None]) -> None:
        self._settings = settings
        self._tell = tell
        self._orders: queue.SimpleQueue[_Order] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="broker", daemon=True)
        self._is_stopped = threading.Event()
        self._is_dropped = threading.Event()  # the connection, by order
        self._connection: Connection | None = None
        self._unsettled: dict[int, tuple[str, kombu.Message]] = {}
        self._pull: Pull | None = None  # what is not answered yet
        self._parked: Pull | None = None

    def start(self) -> None:
        self._thread.start()

    def obey(self, order: Ack | Requeue | SetAside | Pull) -> None:
        """Orders are carried out as they come; of several pulls only the newest one is."""
        self._orders.put(order)

    def unsettled(self, tag: int) -> tuple[str, kombu.Message] | None:
        """A message and the queue that it came from; None: it has gone back meanwhile."""
        return self._unsettled.get(tag)

    def reconnect(self, effect: Reconnect) -> None:
        """Drop the connection, whatever the thread waits for in it."""
        connection = self._connection
        if connection is not None:
            self._is_dropped.set()
            cut(connection)

    def stop(self, limit_s: float) -> bool:
        """Carry out what was ordered, close the connection, end; False: it takes too long."""
        self._orders.put(None)
        self._is_stopped.set()
        if self._thread.ident is None:  # it was never started
            return True
        self._thread.join(limit_s)
        if self._thread.is_alive():
            log.warning("broker's thread did not stop in time")
        return not self._thread.is_alive()

    # The thread

    def _run(self) -> None:
        pause_s = RETRY_S
        while not self._is_stopped.is_set():
            try:
                self._connection = connection = connect_to_drain(self._settings)
                self._is_dropped.clear()
                self._tell(Connected(True))
                pause_s = RETRY_S
                self._serve(Intake(connection, self._settings, self._forget))
                connection.release()
                return
            except Exception as exc:  # the outermost loop: whatever the broker does, go on
                facts = {"broker": connect(self._settings).host, "error": repr(exc)}
                log.warning("broker connection lost", extra=facts)
            finally:
                if self._connection is not None:
                    _drop(self._connection)  # it asks the broker nothing, which may be silent
                self._connection = self._pull = self._parked = None
                self._unsettled.clear()
                self._tell(Connected(False))
            self._is_stopped.wait(pause_s)
            pause_s = min(2 * pause_s, RETRY_LIMIT_S)

    def _serve(self, intake: Intake) -> None:
        """Obey until the order to stop."""
        while self._read_orders(intake):
            match self._pull.wish if self._pull else None:
                case Ask():
                    self._ask(intake)
                case Park():
                    self._listen(intake)
                case Idle():
                    self._pull = None
            if not self._has_kept:
                intake.keep_alive()
            if self._is_dropped.is_set():
                raise ConnectionResetError("the connection was to be made anew")

    @property
    def _has_kept(self) -> bool:
        """Whether consumers are still parked whose message was reported."""
        return self._parked is not None and self._pull is None

    def _read_orders(self, intake: Intake) -> bool:
        """Carry out all orders that are there; False: stop."""
        orders: list[_Order] = []
        wait_s = KEPT_S if self._has_kept else BEAT_S
        with suppress(queue.Empty):
            orders.append(self._orders.get(timeout=0.0 if self._pull else wait_s))
            while True:
                orders.append(self._orders.get_nowait())
        for order in orders:
            if isinstance(order, Pull):
                self._pull = order
        # Before a message is settled: the next one would come to consumers that nobody wants.
        self._release_unwanted(intake)
        for order in orders:
            if order is not None and not isinstance(order, Pull):
                self._settle(intake, order)
        return None not in orders

    def _settle(self, intake: Intake, order: Ack | Requeue | SetAside) -> None:
        held = self._unsettled.pop(order.tag, None)
        if held is None:
            return  # it came by a connection that is gone, and has gone back
        name, message = held
        if isinstance(order, SetAside):
            is_kept = intake.set_aside(message, name)
            shown = f"{message.headers!r} {message.body!r}"[:SHOWN_CHARACTERS]
            facts = {"queue": name, "is_kept": is_kept, "content": shown}
            log.error("message is no job's", extra=facts)
        if isinstance(order, Requeue):
            message.reject(requeue=True)
        else:
            message.ack()

    def _ask(self, intake: Intake) -> None:
        pull = self._pull
        if pull is None or not isinstance(pull.wish, Ask):
            return
        if pull.wish.settles:
            intake.settle()
        for name in pull.wish.names:
            if not self._orders.empty():
                return  # they come first, and may be another wish
            message = intake.get(name)
            if message is not None:
                self._pull = None
                self._report(name, message, pull)
                return
        self._pull = None
        self._tell(Empty(pull.number))

    def _listen(self, intake: Intake) -> None:
        pull = self._pull
        if pull is None or not isinstance(pull.wish, Park):
            return
        if self._parked is None:
            intake.park(pull.wish.names)
            self._parked = pull
        if got := intake.drain():
            # The consumers stay for a moment: the next order is mostly to listen to the same
            # queues, and this thread contends with no other one for the message's way on.
            self._pull = None
            self._report(*got, pull)

    def _release_unwanted(self, intake: Intake) -> None:
        """Cancel the parked consumers unless the newest order is to listen to the same queues."""
        parked, pull = self._parked, self._pull
        if parked is None:
            return
        if pull is not None and pull.wish == parked.wish:
            self._parked = pull
            return
        self._parked = None
        if late := intake.release():
            self._report(*late, parked)

    def _report(self, name: str, message: kombu.Message, pull: Pull) -> None:
        tag = next(_tags)
        self._unsettled[tag] = (name, message)
        self._tell(Message(tag, name, job_id_of(message), pull.number))

    def _forget(self, channel: object) -> None:
        """What came by this channel has gone back: its tags mean other messages now."""
        gone = [tag for tag, (_, each) in self._unsettled.items() if each.channel is channel]
        for tag in gone:
            del self._unsettled[tag]


def _drop(connection: Connection) -> None:
    try:
        connection.collect()
    except Exception as exc:  # its own thread may be closing it as well
        log.debug("connection dropped", extra={"error": repr(exc)})
