"""The same trace without servers: what the rules themselves make of it."""

from collections.abc import Sequence
from dataclasses import dataclass

from foreman.scheduling.values import VisitRules
from foreman.simulation.drain import compare
from tests.bench.drain import trace as trace_of
from tests.bench.drain.trace import Request


@dataclass(frozen=True, slots=True)
class Simulated:
    """The trace in a simulation: no time goes to anything but loads and generation."""

    loads: int
    makespan_s: float
    longest_wait_s: float
    generating: float


def simulate(trace: Sequence[Request], *, max_wait_s: float, slots: int = 1) -> Simulated:
    """Serve the trace by the rules of a worker, on a target that holds one model."""
    rules = VisitRules(max_wait_interactive_s=max_wait_s)
    on = compare.ground(trace_of.arrivals(trace), rules, swap_s=trace_of.LOAD_S, slots=slots)
    found, tally = compare.run("ours", on)
    longest_s = max(max(waits, default=0.0) for waits in tally.waits.values())
    return Simulated(found.loads, found.makespan_s, longest_s, found.busy_share)


def least_makespan_s(trace: Sequence[Request], slots: int) -> float:
    """What no scheduling can beat: the first request comes, each model is loaded once, all run.

    The trace is made so that this can be reached nearly: three times as much work comes as one
    slot can do, so after the first seconds there is always something to run. Several slots are
    taken to be busy to the end, so with them the least is a little too low.
    """
    models = {each.model for each in trace}
    return len(models) * trace_of.LOAD_S + trace_of.work_s(trace) / slots
