"""Run the trace over one way to a target of its own, and write down what happened."""

import random
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from itertools import pairwise
from typing import Any
from uuid import UUID

from foreman.simulation.process import SimulationProcess
from tests.bench.drain import trace as trace_of
from tests.bench.drain.bound import BoundWatch
from tests.bench.drain.clients import Answered, send
from tests.bench.drain.observed import Bounds, Ledger, LedgerLine, Observed
from tests.bench.drain.trace import Request
from tests.bench.ground import Ground
from tests.stack import Stack, wait_for

ALONE = "Ollama alone"
PICK_UPS = 100
_LINES = (
    "SELECT to_queue, reason, lingers, lingers_answered,"
    " at - cost_s * interval '1 second' AS began_at FROM swaps ORDER BY id"
)
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
    loads = sum(each["event"] == "load" for each in log)
    # A load's row is written after its first job has begun.
    wait_for(lambda: len(stack.rows("SELECT id FROM swaps")) == loads, what="a row for each load")
    lines = [_line(row) for row in stack.rows(_LINES)]
    queues = [row["queue"] for row in stack.rows("SELECT queue FROM jobs ORDER BY created_at, id")]
    fifo_swaps = 1 + sum(before != after for before, after in pairwise(queues))
    (page,) = stack.get("/swaps").lines
    totals = page["totals"]
    return Ledger(
        lines,
        fifo_swaps,
        totals["swaps_avoided"],
        totals["gpu_seconds_saved"],
        _decided_s(stack, lines),
        printed,
    )


def _line(row: Mapping[str, Any]) -> LedgerLine:
    # What a job answers costs nobody a wait.
    has_lingered = row["lingers"] > row["lingers_answered"]
    return LedgerLine(row["to_queue"], row["began_at"], row["reason"], has_lingered)


def _decided_s(stack: Stack, lines: Sequence[LedgerLine]) -> list[float]:
    """From the recorded end of each visit's last job to the next load, if that had work by then."""
    jobs = stack.rows("SELECT queue, created_at, working_at, ended_at FROM jobs")
    decided = []
    for before, following in pairwise(lines):
        of_it = [j for j in jobs if j["queue"] == before.queue and j["working_at"] <= following.at]
        last_at = max(job["ended_at"] for job in of_it)
        # The first job of a visit is claimed before its load, and none while another one lasts.
        next_jobs = [
            j for j in jobs if j["queue"] == following.queue and j["working_at"] >= before.at
        ]
        if not following.has_lingered and any(j["created_at"] < last_at for j in next_jobs):
            decided.append((following.at - last_at).total_seconds())
    return decided


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
