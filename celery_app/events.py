"""Task events, as Flower and `celery events` read them, sent in batches.

Celery's loop sends each event as it comes. It would wake for the event of a task at the very moment
at which the task starts, and the two would contend for the interpreter: a quarter of what a busy
worker did, and all of it in the way of first tokens.
"""

from typing import Any

from celery import bootsteps

SEND_EVERY_S = 0.1


class GatherEvents(bootsteps.StartStopStep):
    """Lets the events of a worker gather for a moment."""

    requires = ("celery.worker.consumer.events:Events",)

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        self._timer: Any = None
        self._dispatcher: Any = None

    def start(self, consumer: Any) -> None:
        former, self._dispatcher = self._dispatcher, consumer.event_dispatcher
        self._dispatcher.on_send_buffered = None
        if former is not None:
            # Of these two Celery hands on only what a connection has failed to take.
            self._dispatcher._group_buffer["task"].extend(former._group_buffer.pop("task", []))
        self._timer = consumer.timer.call_repeatedly(SEND_EVERY_S, self._dispatcher.flush)

    def stop(self, consumer: Any) -> None:
        """The connection is lost, or the worker stops: what has gathered waits."""
        if self._timer is not None:
            self._timer.cancel()

    def shutdown(self, consumer: Any) -> None:
        """The last task has ended: its event is sent, too."""
        if consumer.event_dispatcher:
            consumer.event_dispatcher.flush()
