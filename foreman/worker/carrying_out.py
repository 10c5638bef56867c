"""Who carries out the effects that concern a worker's target and its rows."""

from collections.abc import Callable, Mapping
from typing import Any

from foreman.runtime import WorkerRuntime
from foreman.worker import effects
from foreman.worker.doubts import Doubts
from foreman.worker.events import Event
from foreman.worker.leases import Leases
from foreman.worker.loading import Loader
from foreman.worker.target_requests import TargetRequests
from foreman.worker.told import Teller
from foreman.worker.views import Views

CarryOut = Mapping[type, Callable[[Any], Event | None]]
Flush = Callable[[], None]


def carry_out_with(runtime: WorkerRuntime) -> tuple[CarryOut, Flush]:
    """By effect what carries it out and returns what it has to report; and what tells again.

    Each may take as long as its limits say. What is told is told by one thread; the second is to
    be called now and then, by any thread.
    """
    requests, leases, teller = TargetRequests(runtime), Leases(runtime), Teller(runtime)
    doubts = Doubts(runtime)
    told = (
        effects.TellLoading,
        effects.TellResidents,
        effects.RecordLoad,
        effects.SaveRoom,
        effects.TellHealth,
    )
    return {
        effects.Acquire: leases.acquire,
        effects.Release: leases.release,
        effects.Look: Views(runtime).look,
        effects.Observe: requests.observe,
        effects.LoadModel: Loader(runtime).load,
        effects.KeepLoaded: requests.keep_loaded,
        effects.Probe: requests.probe,
        effects.DoubtMessages: doubts.report,
        **dict.fromkeys(told, teller.tell),
    }, teller.flush
