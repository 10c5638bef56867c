"""The outcomes of a comparison, as text for people or as JSON."""

import dataclasses
import json
from collections.abc import Sequence

from foreman.core.queues import JobClass
from foreman.simulation.drain.compare import Ground, Outcome
from foreman.simulation.drain.ours import Lingers
from foreman.simulation.drain.tally import Waits


def as_json(on: Ground, outcomes: Sequence[Outcome]) -> str:
    """Everything, one object."""
    told = {
        "jobs": outcomes[0].jobs if outcomes else 0,
        "residencies": len(on.swap_s),
        "targets": on.targets,
        "slots": on.slots,
        "residents": on.memory.residents,
        "memory": on.memory.size_bytes,
        "rules": dataclasses.asdict(on.rules),
        "policies": [dataclasses.asdict(each) for each in outcomes],
    }
    return json.dumps(told, indent=2)


def as_text(on: Ground, outcomes: Sequence[Outcome]) -> str:
    """Loads and time, waits of the jobs, waits for a visit against the promise, and lingers."""
    parts = [_ground(on), _swaps(outcomes), _waits(outcomes), _visits(outcomes)]
    parts += [_lingers(each) for each in outcomes if each.lingers != Lingers()]
    return "\n\n".join(parts)


def _lingers(found: Outcome) -> str:
    lingers = found.lingers
    return (
        f"{found.policy}: {lingers.answered} lingers were answered by a job, {lingers.unanswered} "
        f"were not and took {lingers.wasted_s:.0f} s"
    )


def _ground(on: Ground) -> str:
    fleet = f"{len(on.swap_s)} models on {on.targets} target(s) of {on.slots} slot(s)"
    if on.memory.residents != 1 or on.memory.size_bytes is not None:
        room = on.memory.residents or "any number of"
        fleet += f" for each of {room} resident(s)"
    if on.clients is not None:
        return f"clients that wait for each answer, for {fleet}"
    work_s = sum(each.seconds for each in on.arrivals)
    jobs = len(on.arrivals)
    return (
        f"{jobs} jobs for {fleet}; "
        f"a run takes {work_s / max(jobs, 1):.1f} s, at most {on.rules.job_limit_s:.1f} s"
    )


def _swaps(outcomes: Sequence[Outcome]) -> str:
    rows = [
        (
            "policy",
            "jobs",
            "loads",
            "cut visits",
            "makespan",
            "busy",
            "swapping",
            "cut",
            "simulated",
        )
    ]
    for each in outcomes:
        rows.append(
            (
                each.policy,
                f"{each.jobs}",
                f"{each.loads}",
                f"{each.cuts}",
                f"{each.makespan_s:.0f} s",
                f"{each.busy_share:.1%}",
                f"{each.swap_share:.1%}",
                f"{each.cut_share:.1%}",
                f"in {each.took_s:.1f} s",
            )
        )
    return _table(rows)


def _waits(outcomes: Sequence[Outcome]) -> str:
    rows: list[tuple[str, ...]] = [
        ("waits of jobs, s", "class", "mean", "p50", "p95", "p99", "max")
    ]
    for job_class in JobClass:
        for each in outcomes:
            if each.waits[job_class].jobs:
                rows.append((each.policy, job_class.value, *_figures(each.waits[job_class])))
    return _table(rows)


def _figures(waits: Waits) -> tuple[str, ...]:
    figures = waits.mean_s, waits.p50_s, waits.p95_s, waits.p99_s, waits.max_s
    return tuple(f"{each:.1f}" for each in figures)


def _visits(outcomes: Sequence[Outcome]) -> str:
    rows = [("until the next visit, s", "class", "longest", "promised", "of it", "late")]
    for job_class in JobClass:
        for each in outcomes:
            held = each.for_visits[job_class]
            if each.waits[job_class].jobs:
                rows.append(
                    (
                        each.policy,
                        job_class.value,
                        f"{held.longest_s:.1f}",
                        f"{held.bound_s:.1f}",
                        f"{held.nearest:.0%}",
                        f"{held.violations}",
                    )
                )
    return _table(rows)


def _table(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )
