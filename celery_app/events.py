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

    def start(self, consumer: Any) -> None:
        dispatcher = consumer.event_dispatcher
        dispatcher.on_send_buffered = None
        self._timer = consumer.timer.call_repeatedly(SEND_EVERY_S, dispatcher.flush)

    def stop(self, consumer: Any) -> None:
        """The worker stops, or has lost its connection: then Celery drops events until the next."""
        if self._timer is not None:
            self._timer.cancel()

    def shutdown(self, consumer: Any) -> None:
        """The last task has ended: its event is sent, too."""
        if consumer.event_dispatcher:
            consumer.event_dispatcher.flush()
