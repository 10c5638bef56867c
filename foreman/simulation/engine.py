"""The parts of the server that all routes share, and the frame around whatever loads a model."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from foreman.simulation.config import DEMO_MODELS, SimulationConfig
from foreman.simulation.connection import ClientGone, Exchange, Severed
from foreman.simulation.decode import Refused
from foreman.simulation.eventlog import EventLog, Generation
from foreman.simulation.faults import Fault, FaultKind, Faults
from foreman.simulation.library import Library
from foreman.simulation.scheduler import Scheduler

BROKEN = "an error was encountered while running the model: unexpected EOF"


class Engine:
    """Models on disk and in memory, faults, and the log."""

    def __init__(self, config: SimulationConfig) -> None:
        self.config = config
        self.log = EventLog()
        self.faults = Faults()
        self.library = Library(config.models, DEMO_MODELS if config.demo else ())
        self.scheduler = Scheduler(config, self.log)

    @contextmanager
    def recorded(
        self, exchange: Exchange, model: str, event: str = "generation"
    ) -> Iterator[Generation]:
        """Log what happens inside, however it ends; a client that leaves ends it."""
        generation = Generation(
            path=exchange.path,
            job_id=exchange.header("X-Foreman-Job-Id"),
            model=model,
            arrived=time.time(),
            event=event,
        )
        try:
            with exchange.watching():
                yield generation
        except ClientGone:
            generation.ended = "client_gone"
            raise
        except Severed:
            generation.ended = "fault"
            raise
        finally:
            self.log.close(generation)

    def strike_before(self, fault: Fault | None, exchange: Exchange, note: Generation) -> None:
        """Do what a fault does before the model is even looked for."""
        if fault is None:
            return
        if fault.kind is FaultKind.ERROR500:
            note.ended = "fault"
            raise Refused(500, BROKEN)
        if fault.kind is FaultKind.CUT_BEFORE:
            exchange.reset()
        if fault.kind is FaultKind.WEDGE:
            fault.hold()

    def state(self) -> dict[str, object]:
        """What a test may ask at any moment."""
        runners = self.scheduler.runners
        return {
            "loaded": [runner.model.label for runner in runners],
            "loading": self.scheduler.loading,
            "pending": self.scheduler.pending,
            "busy_slots": {r.model.label: r.slots.busy for r in runners},
            "waiting_for_slot": {r.model.label: r.slots.waiting for r in runners},
            **self.log.state(),
        }
