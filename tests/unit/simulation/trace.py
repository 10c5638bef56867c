"""One run of the drain simulation, read again from its visits and starts alone.

Nothing here asks the policy or trusts the tally's sums: each promise is worked out anew from what
was served when. A check raises AssertionError; `broken` says of a bad policy that one did.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from foreman.core.arrivals import Arrival
from foreman.core.queues import JobClass
from foreman.scheduling.room import Room
from foreman.scheduling.values import VisitRules
from foreman.scheduling.visits import FEWEST_SWAPS, most_visit_swaps
from foreman.simulation.drain.engine import Engine
from foreman.simulation.drain.fleet import Memory
from foreman.simulation.drain.policies import POLICIES, Given
from foreman.simulation.drain.tally import Promises, Start, Tally, Visit

Span = tuple[float, float]
ALL = 10**9
# Times are sums of floats in different orders.
CLOSE_S = 1e-6


@dataclass(frozen=True)
class Trace:
    """What was asked, and what was served when."""

    arrivals: Sequence[Arrival]
    rules: VisitRules
    swap_s: Mapping[str, float]
    targets: int
    tally: Tally

    @property
    def visits(self) -> list[Visit]:
        return sorted(self.tally.visits, key=lambda each: each.swap_at)

    @property
    def starts(self) -> list[Start]:
        return self.tally.starts

    @property
    def end_at(self) -> float:
        return max(each.at + each.job.seconds for each in self.starts)

    def heads(self, queue: str, at: float) -> dict[JobClass, float]:
        """When the oldest job of each class came, of those that wait for `queue` at `at`."""
        heads: dict[JobClass, float] = {}
        for start in self.starts:
            job = start.job
            if job.queue == queue and job.at <= at <= start.at:
                heads[job.job_class] = min(job.at, heads.get(job.job_class, job.at))
        return heads

    def left_at(self, queue: str, at: float) -> float:
        """The end of the last visit of `queue` before `at`."""
        ends = [each.ended_at for each in self.visits if each.queue == queue]
        return max((end for end in ends if end <= at), default=float("-inf"))

    def is_overdue(self, queue: str, at: float) -> bool:
        heads = self.heads(queue, at).items()
        return any(at - head >= self.rules.max_wait_s(job_class) for job_class, head in heads)

    def unserved_since(self, queue: str, at: float) -> float:
        return max(min(self.heads(queue, at).values()), self.left_at(queue, at))

    def is_cut(self, visit: Visit) -> bool:
        """Whether it left jobs behind that had come before its end."""
        heads = self.heads(visit.queue, visit.ended_at).values()
        return min(heads, default=visit.ended_at) < visit.ended_at


def play(
    arrivals: Sequence[Arrival],
    rules: VisitRules,
    swap_s: Mapping[str, float],
    *,
    policy: str = "ours",
    targets: int = 1,
    slots: int = 1,
) -> Trace:
    """Serve `arrivals` on targets that hold one residency each, keeping everything."""
    tally = Tally(Promises(rules, swap_s, places=1), keep=ALL)
    made = POLICIES[policy](Given(rules, Room(residents=1)))
    Engine(made, tally, swap_s, targets=targets, slots=slots, memory=Memory(1)).run(arrivals)
    return Trace(arrivals, rules, swap_s, targets, tally)


def fifo_swaps(arrivals: Sequence[Arrival]) -> int:
    """The first load, and each change of residency in order of arrival."""
    return bool(arrivals) + sum(one.queue != other.queue for one, other in pairwise(arrivals))


def check_all_are_served(trace: Trace) -> None:
    assert len(trace.starts) == len(trace.arrivals)
    assert all(each.at >= each.job.at for each in trace.starts)


def check_bound(trace: Trace) -> None:
    """max_wait + swap + the sum over the others of (D + swap + R), at each visit's begin."""
    rules, swaps = trace.rules, most_visit_swaps(trace.rules.min_visit_swaps)
    for visit in trace.visits:
        others = [cost for queue, cost in trace.swap_s.items() if queue != visit.queue]
        rest = sum(swaps * cost + cost + rules.job_limit_s for cost in others)
        if any(
            each.queue == visit.queue and each.began_at <= visit.began_at < each.ended_at
            for each in trace.visits
            if each.target != visit.target
        ):
            continue  # another target serves it: it waits for no visit
        left_at = trace.left_at(visit.queue, visit.swap_at)
        for job_class, head_at in trace.heads(visit.queue, visit.began_at).items():
            limit_s = trace.rules.max_wait_s(job_class) + trace.swap_s[visit.queue] + rest
            assert visit.began_at - max(head_at, left_at) <= limit_s + CLOSE_S
    assert sum(trace.tally.violations.values()) == 0


def check_cuts_are_paid_for(trace: Trace) -> None:
    """Each cut visit has lasted its n loads; so their loads take at most 1/(n+1) of the time."""
    setting = trace.rules.min_visit_swaps
    swaps = FEWEST_SWAPS if setting is None else setting
    cut = [visit for visit in trace.visits if trace.is_cut(visit)]
    for visit in cut:
        dwell_s = swaps * trace.swap_s[visit.queue]
        assert visit.ended_at - visit.began_at >= dwell_s - CLOSE_S
    loads_s = sum(trace.swap_s[visit.queue] for visit in cut)
    span_s = trace.targets * (trace.end_at - trace.arrivals[0].at)
    assert loads_s <= span_s / (swaps + 1) + CLOSE_S
    assert abs(trace.tally.cut_s - loads_s) < CLOSE_S


def check_turns(trace: Trace) -> None:
    """At each swap: an overdue one if any is, and of these the longest unserved."""
    for visit in trace.visits:
        at = visit.swap_at
        waiting = [queue for queue in trace.swap_s if trace.heads(queue, at)]
        late = [queue for queue in waiting if trace.is_overdue(queue, at)]
        assert visit.queue in (late or waiting)
        first = min(trace.unserved_since(queue, at) for queue in late or waiting)
        assert trace.unserved_since(visit.queue, at) <= first + CLOSE_S


def check_nobody_goes_twice_before_the_overdue(trace: Trace) -> None:
    for visit in trace.visits:
        since = trace.unserved_since(visit.queue, visit.swap_at)
        between = [
            each.queue
            for each in trace.visits
            if since < each.swap_at < visit.swap_at and trace.is_overdue(visit.queue, each.swap_at)
        ]
        assert len(between) == len(set(between))


def check_no_target_idles_beside_work(trace: Trace) -> None:
    """Nothing runs and nothing loads: then nothing waits, but what is left to another target."""
    for target in range(trace.targets):
        own = [visit for visit in trace.visits if visit.target == target]
        runs = [
            (each.at, each.at + each.job.seconds) for each in trace.starts if each.target == target
        ]
        busy = merged([*_loads(own), *runs])
        for start in trace.starts:
            job = start.job
            visits = [
                visit
                for visit in trace.visits
                if visit.queue == job.queue and visit.target != target
            ]
            alone_until = min(start.at, job.at + trace.swap_s[job.queue])
            left = merged((visit.swap_at, visit.ended_at) for visit in visits)
            assert is_covered((job.at, alone_until), merged([*busy, *left]))
            assert is_covered((alone_until, start.at), merged([*busy, *_loads(visits)]))


def merged(spans: Iterable[Span]) -> list[Span]:
    """The union of spans, as few as possible, in order."""
    union: list[Span] = []
    for begin, end in sorted(spans):
        if union and begin <= union[-1][1] + CLOSE_S:
            union[-1] = (union[-1][0], max(end, union[-1][1]))
        else:
            union.append((begin, end))
    return union


def is_covered(span: Span, union: Sequence[Span]) -> bool:
    begin, end = span
    return end - begin <= 2 * CLOSE_S or any(
        first <= begin + CLOSE_S and end <= last + CLOSE_S for first, last in union
    )


def _loads(visits: Iterable[Visit]) -> list[Span]:
    return [(visit.swap_at, visit.began_at) for visit in visits]


def broken(check: Callable[[Trace], None], trace: Trace) -> bool:
    """Whether the check finds fault with the trace."""
    try:
        check(trace)
    except AssertionError:
        return True
    return False
