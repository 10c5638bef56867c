"""The hands of a worker: who carries out what concerns its target and its rows."""

from foreman.runtime import WorkerRuntime
from foreman.worker import effects
from foreman.worker.assembly import Hands
from foreman.worker.leases import Leases
from foreman.worker.loading import Loader
from foreman.worker.target_requests import TargetRequests
from foreman.worker.told import Teller
from foreman.worker.views import Views


def hands(runtime: WorkerRuntime) -> Hands:
    """Those of a real worker."""
    leases, teller, requests = Leases(runtime), Teller(runtime), TargetRequests(runtime)
    return Hands(
        carry_out={
            effects.Acquire: leases.acquire,
            effects.Release: leases.release,
            effects.Look: Views(runtime).look,
            effects.LoadModel: Loader(runtime).load,
            effects.Observe: requests.observe,
            effects.KeepLoaded: requests.keep_loaded,
            effects.Probe: requests.probe,
            effects.TellLoading: teller.tell,
            effects.TellResidents: teller.tell,
            effects.RecordLoad: teller.tell,
            effects.SaveRoom: teller.tell,
            effects.TellHealth: teller.tell,
        },
        flush=teller.flush,
    )
