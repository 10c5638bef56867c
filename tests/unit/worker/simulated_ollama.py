"""What a worker's requests to its target are tested on: a simulated Ollama, and the parts of a
worker's runtime that they use."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import cast

from foreman.adapters.target import TargetClient
from foreman.core.lease import Lease
from foreman.parsing import TargetSpec
from foreman.runtime import WorkerRuntime
from foreman.simulation.process import SimulationProcess

GIB = 1024**3
LEASE = Lease("gpu", 1)
A, B, C, EMBED = "a:latest", "b:latest", "c:latest", "embed:latest"
# The memory holds two of a, b and c, and the embedding model next to them.
MODELS = "a=2GiB,b=2GiB,c=2GiB,embed=1GiB;caps=embedding"


@contextmanager
def simulated(**options: object) -> Iterator[SimulationProcess]:
    defaults = {"models": MODELS, "memory": "5GiB", "load_s": 0.05, "tokens_per_s": 0}
    with SimulationProcess(**{**defaults, **options}) as process:
        yield process


@contextmanager
def runtime_of(url: str, *, silence_s: float = 10.0) -> Iterator[WorkerRuntime]:
    spec = TargetSpec(name=LEASE.target, url=url, slots=1)
    client = TargetClient(spec, silence_s=silence_s, connections=2)
    yield cast(WorkerRuntime, SimpleNamespace(targets={LEASE.target: client}))
    client.close()
