"""Run the trace over one way to a target of its own, and write down what happened."""

import json
import random
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime
from itertools import pairwise
from typing import Any
from uuid import UUID

from foreman.simulation.process import SimulationProcess
from tests.bench.drain import trace as trace_of
from tests.bench.drain.bound import BoundWatch
from tests.bench.drain.clients import Answered, send
from tests.bench.drain.observed import Bounds, Ledger, Observed
from tests.bench.drain.trace import Request
from tests.bench.ground import Ground
from tests.stack import Stack, wait_for

ALONE = "Ollama alone"
PICK_UPS = 100
# What each request of an idle system waits behind the last one, at random.
PAUSES_S = (0.05, 0.3)


def new_target(slots: int) -> SimulationProcess:
    """One GPU that holds one model."""
    return SimulationProcess(
        models=",".join(f"{model}=4GiB" for model in trace_of.MODELS),
        max_loaded=1,
        slots=slots,
        load_s=trace_of.LOAD_S,
        tokens_per_s=trace_of.TOKENS_PER_S,
    )


def run_alone(trace: Sequence[Request], slots: int) -> Observed:
    """Straight to the target: its own scheduling."""
    with new_target(slots) as target:
        answered = send(target.url, trace)
        return Observed(ALONE, slots, answered, target.log())


def run_foreman(
    ground: Ground,
    way: str,
    name: str,
    trace: Sequence[Request],
    settings: Mapping[str, str],
    *,
    slots: int,
    pick_ups: int = 0,
) -> Observed:
    """Through a new foreman; then, if asked for, single requests on the idle system."""
    with ExitStack() as running:
        target = running.enter_context(new_target(slots))
        stack = running.enter_context(ground.stack(way, target, slots=slots, settings=settings))
        with BoundWatch(stack) as watch:
            answered = send(stack.url, trace)
        log = target.log()
        ledger = _ledger(stack, log, watch.printed)
        return Observed(name, slots, answered, log, ledger, _pick_ups_s(stack, pick_ups))


def _ledger(
    stack: Stack, log: Sequence[Mapping[str, Any]], printed: list[tuple[float, Bounds]]
) -> Ledger:
    decided_s = _decided_s(stack)
    reasons = [row["reason"] for row in stack.rows("SELECT reason FROM swaps ORDER BY id")]
    queues = [row["queue"] for row in stack.rows("SELECT queue FROM jobs ORDER BY created_at, id")]
    fifo_swaps = 1 + sum(before != after for before, after in pairwise(queues))
    # What a visit has saved is counted when the next one begins: one more swap, for the last.
    last = [each["model"] for each in log if each["event"] == "load"][-1]
    other = next(model for model in trace_of.MODELS if model != last)
    send(stack.url, [Request(0.0, other, 1)])
    wait_for(lambda: len(stack.rows("SELECT id FROM swaps")) > len(reasons))
    (page,) = stack.get("/swaps").lines
    totals = page["totals"]
    return Ledger(
        reasons,
        fifo_swaps,
        totals["swaps_avoided"],
        totals["gpu_seconds_saved"],
        decided_s,
        printed,
    )


def _decided_s(stack: Stack) -> list[float]:
    """From the recorded end of each visit's last job to the next visit that had work by then."""
    lines = [json.loads(line) for line in stack.log_of("worker1") if line.startswith("{")]
    visits = [(_moment(line["at"]), line["queue"]) for line in lines if line["message"] == "visit"]
    jobs = stack.rows("SELECT queue, created_at, working_at, ended_at FROM jobs")
    decided = []
    for (_, before), (began_at, queue) in pairwise(visits):
        # Its end may be recorded after the next visit has begun.
        of_it = [job for job in jobs if job["queue"] == before and job["working_at"] <= began_at]
        last_at = max(job["ended_at"] for job in of_it)
        waited = (j for j in jobs if j["queue"] == queue and j["working_at"] >= began_at)
        if any(job["created_at"] < last_at for job in waited):
            decided.append((began_at - last_at).total_seconds())
    return decided


def _moment(written: str) -> datetime:
    """The time of a line of the log: local, in milliseconds."""
    return datetime.strptime(written, "%Y-%m-%d %H:%M:%S,%f").astimezone()


def _pick_ups_s(stack: Stack, count: int) -> list[float]:
    """Single requests of the model that is loaded: from the row's transaction to its claim."""
    if not count:
        return []
    dice = random.Random(trace_of.SEED)
    answered: list[Answered] = []
    for _ in range(count + 1):  # the first one loads
        answered += send(stack.url, [Request(0.0, trace_of.MODELS[0], 1)])
        time.sleep(dice.uniform(*PAUSES_S))
    ids = [UUID(each.job_id) for each in answered[1:]]
    rows = stack.rows("SELECT working_at - created_at AS took FROM jobs WHERE id = ANY(%s)", ids)
    return [row["took"].total_seconds() for row in rows]
