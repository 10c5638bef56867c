"""Measuring one way under one load: what the clients saw, and what the processes paid for it."""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import psutil

from tests.bench.ground import MODEL, Scene, Way
from tests.bench.load import Load, Sample
from tests.bench.memory import MemoryWatch, family

LOAD_LIMIT_S = 300
PROMPT = "Say something short."
BODY = json.dumps({"model": MODEL, "messages": [{"role": "user", "content": PROMPT}]})


@dataclass(frozen=True)
class Run:
    """One load over one way."""

    samples: list[Sample]
    cpu_s: dict[str, float]  # CPU time, by process
    memory_bytes: dict[str, int]  # what they grew by at the most, by process
    busy: float  # of the whole machine, 0 to 1
    others: float  # of that, the part of processes that do not belong to the measurement

    @property
    def seconds(self) -> float:
        """From the first request to the last byte."""
        ends = (sample.sent_at + sample.total_s for sample in self.samples)
        return max(ends) - min(sample.sent_at for sample in self.samples)

    def first_ms(self) -> list[float]:
        """Times to the first byte, without each client's first stream: that one connects."""
        return [sample.first_s * 1000 for sample in self.samples if sample.number]


class BadStream(Exception):
    """A stream was not whole: its figures would mean nothing."""


def load_on(way: Way, *, clients: int, streams_each: int, **options: float) -> Load:
    """A load of chat streams."""
    return Load(
        url=way.url,
        path="/api/chat",
        body=BODY,
        clients=clients,
        streams_each=streams_each,
        **options,
    )


def measure(scene: Scene, way: Way, load: Load) -> Run:
    """Run the load in a process of its own; BadStream when a stream is not whole."""
    command = [sys.executable, "-m", "tests.bench.load"]
    before, machine, began = _cpu(way.pids), _machine_s(), time.monotonic()
    with MemoryWatch(way.pids) as memory:
        done = subprocess.run(
            command,
            input=json.dumps(asdict(load)),
            capture_output=True,
            text=True,
            check=False,
            timeout=LOAD_LIMIT_S,
        )
    if done.returncode:
        raise BadStream(f"{way.name} at {way.url}, of {way.pids}: {done.stderr[-1000:]}")
    capacity_s = (time.monotonic() - began) * (psutil.cpu_count() or 1)
    after, machine_s = _cpu(way.pids), _machine_s() - machine
    cpu_s = {name: after[name] - before[name] for name in after}
    others_s = max(machine_s - sum(cpu_s.values()), 0)
    return Run(
        _whole(scene, way, json.loads(done.stdout)),
        cpu_s,
        memory.growth_bytes(),
        machine_s / capacity_s,
        others_s / capacity_s,
    )


def _whole(scene: Scene, way: Way, rows: list[list[float]]) -> list[Sample]:
    samples = [Sample(*row) for row in rows]  # type: ignore[arg-type]  # as the load wrote them
    broken = [sample for sample in samples if not sample.is_whole or sample.lines != scene.lines]
    if broken:
        raise BadStream(f"{way.name}: {len(broken)} of {len(samples)}, the first: {broken[0]}")
    return samples


def _machine_s() -> float:
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - times.iowait - times.guest - times.guest_nice)


def _cpu(pids: Mapping[str, int]) -> dict[str, float]:
    spent = {name: sum(_cpu_s(each) for each in family(pid)) for name, pid in pids.items()}
    of_loads = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent | {"load": of_loads.ru_utime + of_loads.ru_stime}


def _cpu_s(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)
