"""The tables of what foreman promises: its ledger is right, its bound holds, it is prompt."""

from collections import Counter
from collections.abc import Sequence

from tests.bench.drain import trace as trace_of
from tests.bench.drain.bound import Held, beyond, hold_jobs, hold_visits
from tests.bench.drain.observed import Ledger, Observed
from tests.bench.drain.tables import is_forced, p50_p95
from tests.bench.figures import Aim, Section, percentile

PICK_UP_AIM_MS, DECIDED_AIM_MS = 20.0, 100.0


def ledger(runs: Sequence[Observed], alone: Observed) -> Section:
    """The ledger's swaps and savings, and the bound."""
    rows, aims = [], []
    fifo = " or ".join(map(str, sorted({_told(run).fifo_swaps for run in runs})))
    for run in runs:
        told, visits, jobs = _told(run), hold_visits(run), hold_jobs(run)
        counts = Counter(line.reason for line in told.lines)
        reasons = ", ".join(f"{count} {reason}" for reason, count in counts.items())
        really = len(alone.visits) - len(run.visits)
        rows.append(
            (
                run.name,
                f"{len(told.lines)}: {reasons}",
                f"{told.swaps_avoided} ({told.fifo_swaps - len(told.lines)})",
                str(really),
                f"{told.gpu_seconds_saved:.0f} ({really * trace_of.LOAD_S:.0f})",
                _bounds(visits),
                _nearest(visits),
                f"{beyond(visits)} of {len(run.visits)}",
                f"{beyond(jobs)} of {len(run.answered)}",
            )
        )
        # Nobody promises more: a job behind others may see its residency's visit cut before it.
        held = {"visit": beyond(visits)} | ({} if is_forced(run) else {"job": beyond(jobs)})
        for what, late in held.items():
            aims.append(Aim(f"{run.name}: no {what} later than the bound", f"{late}", not late))
    return Section(
        "The ledger and the bound",
        "*Avoided* is `swaps_avoided`, in brackets what it should be: the changes of model in the"
        f" order in which the jobs were accepted ({fifo}), less foreman's loads. Ollama itself lets"
        " requests pass that need no load, so against its own loads, the next column"
        " and the brackets of *saved*, less is avoided."
        " A wait is held to the earliest moment that `GET /queues` promised while it lasted. The"
        " bound is one for visits; a job behind others, whose visit is cut, waits for two.",
        (
            "way", "loads", "avoided", "loads avoided", "GPU seconds saved", "bound, s",
            "nearest to it, s", "visits beyond", "jobs beyond",
        ),
        rows,
        aims,
    )  # fmt: skip


def _bounds(held: Sequence[Held]) -> str:
    bounds = [each.bound_s for each in held]
    if not bounds:
        return ""
    return f"{min(bounds):.1f} to {max(bounds):.1f}"


def _nearest(held: Sequence[Held]) -> str:
    if not held:
        return ""
    nearest = max(held, key=lambda each: each.waited_s / each.bound_s)
    return f"{nearest.waited_s:.1f} of {nearest.bound_s:.1f}"


def promptness(runs: Sequence[Observed]) -> Section:
    """How soon an idle system takes a job, and how soon a swap begins."""
    rows, aims = [], []
    for run in runs:
        decided, idle = _told(run).decided_s, run.idle_before_s()
        picked = p50_p95(run.picked_up_s, 1000) if run.picked_up_s else ""
        figures = (_p50_max(decided), _p50_max(idle), _between_jobs(run))
        rows.append((run.name, picked, str(len(decided)), *figures))
        if idle:
            slowest_ms = max(idle) * 1000
            text = f"{run.name}: every swap decided within {DECIDED_AIM_MS:g} ms"
            aims.append(Aim(text, f"{slowest_ms:.0f} ms", slowest_ms <= DECIDED_AIM_MS))
        if run.picked_up_s:
            p95_ms = percentile(run.picked_up_s, 95) * 1000
            text = f"{run.name}: pick-up on an idle system p95 ≤ {PICK_UP_AIM_MS:g} ms"
            aims.append(Aim(text, f"{p95_ms:.1f} ms", p95_ms <= PICK_UP_AIM_MS))
    return Section(
        "Pick-up and decision",
        "Milliseconds. *Pick-up*: single synchronous requests for the loaded model on the idle"
        " system, `working_at` minus `created_at`: from the begin of the transaction that accepts,"
        " so its commit counts. *Decided*: from the recorded end of a visit's last job to the begin"
        " of the next load, by its row; less than nothing where that end is recorded later."
        " *Target at rest*: from the end of the last generation to the unload, by the target's log,"
        " so the decision is within it. Swaps to what did not wait by then are left out, and those"
        " before which an empty model was kept on purpose. *Between jobs*: the same gap within a"
        " visit, to the next start.",
        (
            "way",
            "pick-up p50 / p95",
            "swaps",
            "decided p50 / max",
            "target at rest p50 / max",
            "between jobs p50 / p95",
        ),
        rows,
        aims,
    )


def _p50_max(seconds: Sequence[float]) -> str:
    if not seconds:
        return ""
    return f"{percentile(seconds, 50) * 1000:.0f} / {max(seconds) * 1000:.0f}"


def _between_jobs(run: Observed) -> str:
    # With several slots one job's end says nothing of the next one's start.
    return p50_p95(run.between_jobs_s(), 1000, 0) if run.slots == 1 else ""


def _told(run: Observed) -> Ledger:
    assert run.ledger is not None
    return run.ledger
