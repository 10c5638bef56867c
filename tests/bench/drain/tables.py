"""The tables of loads, time and waits; what foreman promises is `promises`'."""

from collections import Counter
from collections.abc import Sequence

from tests.bench.drain import trace as trace_of
from tests.bench.drain.observed import Observed
from tests.bench.drain.policy import Simulated, least_makespan_s
from tests.bench.drain.trace import Request
from tests.bench.figures import Aim, Section, percentile

FEWER_AIM, MAKESPAN_AIM = 0.9, 1.05


def loads(
    trace: Sequence[Request],
    alone: Observed,
    runs: Sequence[Observed],
    simulated: dict[str, Simulated],
) -> Section:
    """Loads, makespan, and what the target's time went to."""
    least_s = least_makespan_s(trace, alone.slots)
    rows = [_loads_row(run, len(alone.visits), least_s) for run in (alone, *runs)]
    for name, each in simulated.items():
        share = each.loads * trace_of.LOAD_S / each.makespan_s
        figures = (str(each.loads), _fewer(each.loads, len(alone.visits)))
        times = (f"{each.makespan_s:.1f}", f"{each.makespan_s / least_s:.3f}")
        shares = (f"{each.generating:.1%}", f"{share:.1%}", f"{each.longest_wait_s:.1f}")
        rows.append((name, *figures, *times, *shares))
    aims = [aim for run in runs if not is_forced(run) for aim in _aims(run, alone, least_s)]
    return Section(
        "Loads and makespan",
        f"*Least* is what no scheduling can beat: {trace_of.work_s(trace) / alone.slots:.1f} s of"
        f" work and one load a model, {least_s:.1f} s. In the rows of `foreman simulate` nothing"
        " but loads and generation takes time.",
        (
            "way",
            "loads",
            "fewer",
            "makespan, s",
            "÷ least",
            "generating",
            "loading",
            "longest wait",
        ),
        rows,
        aims,
    )


def _loads_row(run: Observed, alone: int, least_s: float) -> tuple[str, ...]:
    count, span_s = len(run.visits), run.makespan_s
    shares = (f"{run.generating:.1%}", f"{count * trace_of.LOAD_S / span_s:.1%}")
    fewer = _fewer(count, alone) if run.ledger else ""
    longest = f"{max(run.waits_s.values()):.1f}"
    return (
        run.name,
        str(count),
        fewer,
        f"{span_s:.1f}",
        f"{span_s / least_s:.3f}",
        *shares,
        longest,
    )


def _fewer(count: int, alone: int) -> str:
    return f"{1 - count / alone:.0%}"


def _aims(run: Observed, alone: Observed, least_s: float) -> list[Aim]:
    fewer = 1 - len(run.visits) / len(alone.visits)
    ratio = run.makespan_s / least_s
    return [
        Aim(f"{run.name}: ≥ {FEWER_AIM:.0%} fewer loads", f"{fewer:.1%}", fewer >= FEWER_AIM),
        Aim(
            f"{run.name}: makespan ≤ {MAKESPAN_AIM} times the least",
            f"{ratio:.3f}",
            ratio <= MAKESPAN_AIM,
        ),
    ]


def waits(runs: Sequence[Observed]) -> Section:
    """By model: from sending to the start of generation."""
    counts = Counter(each.model for each in runs[0].answered)
    header = ("way", *(f"{model} ({counts[model]} jobs)" for model in trace_of.MODELS), "all")
    rows = []
    for run in runs:
        each = [run.waits_of(model) for model in trace_of.MODELS]
        rows.append((run.name, *(p50_p95(own) for own in (*each, list(run.waits_s.values())))))
    text = "Seconds from sending to the start of generation, by the target's log: p50 / p95."
    return Section("Waits", text, header, rows, [])


def is_forced(run: Observed) -> bool:
    return run.ledger is not None and any(line.reason == "overdue" for line in run.ledger.lines)


def p50_p95(values: Sequence[float], factor: float = 1, digits: int = 1) -> str:
    return " / ".join(f"{percentile(values, each) * factor:.{digits}f}" for each in (50, 95))
