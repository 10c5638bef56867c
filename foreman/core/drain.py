"""The drain policy: values in, a decision out, nothing else.

When a visit ends and which residency a target serves next. How a worker carries it out is
`celery_app.drain`; the same rules in words, with their bound, are docs/scheduling.md.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from foreman.core.queues import JobClass


@dataclass(frozen=True, slots=True)
class Rules:
    """What the operator sets; seconds, and `kappa`, a number of swaps."""

    max_wait_interactive_s: float = 30.0
    max_wait_batch_s: float = 600.0
    kappa: float = 10.0  # a visit lasts this many times its own swap before it may be cut
    job_limit_s: float = 1800.0  # the enforced end of every run


@dataclass(frozen=True, slots=True)
class Line:
    """The waiting jobs of one residency, as one target that can serve it sees them."""

    queue: str  # the residency's model queue
    interactive_s: float | None  # how long its oldest interactive job has waited; None: none waits
    batch_s: float | None
    swap_s: float  # what swapping to it on this target is estimated to cost
    idle_s: float  # since its last visit on this target ended; infinite: it had none
    is_elsewhere: bool = False  # another live target has it loaded, and serves it or is ready to


class Action(StrEnum):
    """What the target does now."""

    TAKE = "take"  # the next job of the resident
    CLOSE = "close"  # nothing more: the running jobs end, then it swaps
    SWAP = "swap"  # to `queue`, at once
    # Stay loaded, and take what comes first, but not of a residency that is left to another target:
    # the caller asks again when `left_alone_s` is over.
    LISTEN = "listen"


@dataclass(frozen=True, slots=True)
class Decision:
    """An action, the model queue that it is about, and the reason in words.

    `cause` is the ledger's word for a swap: first, drained, or overdue, which means that only the
    longest wait allowed made this swap, or made it now.
    """

    action: Action
    queue: str | None
    reason: str
    cause: str | None = None


def decide(
    *,
    rules: Rules,
    resident: str | None,
    dwell_s: float,
    running: int,
    lines: Sequence[Line],
    swap_in_s: float,
    visit_jobs: int = 1,
) -> Decision:
    """Say what a target with a free slot does now.

    `resident` is the queue of the visit so far, which began `dwell_s` ago with a swap that cost
    `swap_in_s`, and has taken `visit_jobs`; `running` of them are on the target; `lines` is all
    that waits and that the target can serve, without what another target is just loading.
    """
    has_work = any(each.queue == resident and wait_s(each) is not None for each in lines)
    # Not before its first job: with a dwell of 0, targets would swap for ever and serve nobody.
    has_dwelt = visit_jobs > 0 and dwell_s >= rules.kappa * swap_in_s
    # 1. The resident has work, and its visit has not lasted long enough to pay for the swap (1a),
    #    or nobody is overdue (1b): stay. Exhaustive service makes the fewest swaps.
    if has_work and not has_dwelt:
        return Decision(Action.TAKE, resident, "it has work, and its visit is too young to be cut")
    ready = [each for each in lines if each.queue != resident and not left_alone_s(each, rules)]
    ready = [each for each in ready if wait_s(each) is not None]
    late = [each for each in ready if overdue(each, rules)]
    if has_work and not late:
        return Decision(Action.TAKE, resident, "it has work, and nobody is overdue")
    # 2. Somebody is overdue, and the visit has paid for its swap: end it, once nothing runs.
    if late and has_dwelt and (has_work or running):
        following, action = pick_next(late), Action.CLOSE if running else Action.SWAP
        return Decision(action, following.queue, _cut(following, dwell_s), "overdue")
    # 3. Jobs of the resident run: only its own may join them. Never B while A runs.
    if running and resident is not None:
        return Decision(Action.TAKE, resident, "its jobs run, and only its own may join them")
    if running:
        return Decision(Action.CLOSE, None, "jobs of an unknown residency run")
    # 4. Nothing runs and the resident is drained: go on to the others, the overdue ones first.
    if ready:
        return _go_on(resident, pick_next(late or ready), pick_next(ready))
    # 5. Nothing waits for this target: stay loaded.
    return Decision(Action.LISTEN, None, "nothing waits, or only what another target has loaded")


def pick_next(lines: Sequence[Line]) -> Line:
    """Of several that wait, the one that has gone unserved for the longest.

    For what a cut visit left behind this is the least recently served: the oldest head would be
    the same residency again and again, and the bound would not hold. For all others it is the
    oldest head, so that a drain never swaps more often than first in, first out.
    """
    return min(lines, key=lambda each: (-unserved_s(each), -(wait_s(each) or 0.0), each.queue))


def wait_s(line: Line) -> float | None:
    """How long its oldest job has waited, of either class; None when none waits."""
    if line.interactive_s is None or line.batch_s is None:
        return line.batch_s if line.interactive_s is None else line.interactive_s
    return max(line.interactive_s, line.batch_s)


def unserved_s(line: Line) -> float:
    """How long it has had work and no visit on this target."""
    return min(wait_s(line) or 0.0, line.idle_s)


def overdue(line: Line, rules: Rules) -> bool:
    """Whether a job of it has waited as long as its class allows."""
    return (line.interactive_s is not None and _is_late(line.interactive_s, rules)) or (
        line.batch_s is not None and line.batch_s >= rules.max_wait_batch_s
    )


def left_alone_s(line: Line, rules: Rules) -> float:
    """For how long yet it is left to the target that has it loaded; 0.0: not any more.

    Until its head has waited as long as a swap here would take, it is served sooner there.
    """
    if not line.is_elsewhere or overdue(line, rules):
        return 0.0
    return max(0.0, line.swap_s - (wait_s(line) or 0.0))


def class_to_take(line: Line, rules: Rules) -> JobClass:
    """The class that the resident's next job is taken from.

    Somebody waits for an interactive job, so it goes first; but a steady stream of them would
    keep batch jobs out for ever. So an overdue batch job goes before those that still have time.
    """
    if line.batch_s is None:
        return JobClass.INTERACTIVE
    if line.interactive_s is None:
        return JobClass.BATCH
    is_batch = line.batch_s >= rules.max_wait_batch_s and not _is_late(line.interactive_s, rules)
    return JobClass.BATCH if is_batch else JobClass.INTERACTIVE


def wait_bound_s(
    rules: Rules, job_class: JobClass, *, swap_s: float, others_swap_s: Iterable[float]
) -> float:
    """Within how many seconds the next visit of a waiting residency starts, whatever comes.

    `swap_s` is its own swap, `others_swap_s` those of all the others that its target serves: each
    of them is visited at most once before it, for its dwell and the job that runs by then.
    """
    is_batch = job_class is JobClass.BATCH
    max_wait_s = rules.max_wait_batch_s if is_batch else rules.max_wait_interactive_s
    return max_wait_s + swap_s + sum(longest_visit_s(rules, each) for each in others_swap_s)


def longest_visit_s(rules: Rules, swap_s: float) -> float:
    """How long one visit may keep others waiting: its swap, its dwell, and the job that runs."""
    return swap_s + rules.kappa * swap_s + rules.job_limit_s


def _is_late(interactive_s: float, rules: Rules) -> bool:
    return interactive_s >= rules.max_wait_interactive_s


def _cut(following: Line, dwell_s: float) -> str:
    return (
        f"{following.queue} is overdue (its head has waited {wait_s(following):.0f} s), "
        f"and this visit has lasted {dwell_s:.0f} s"
    )


def _go_on(resident: str | None, following: Line, oldest: Line) -> Decision:
    is_passed = following.queue != oldest.queue
    cause = "first" if resident is None else "overdue" if is_passed else "drained"
    why = "is overdue" if is_passed else "has gone unserved for the longest"
    start = "nothing is loaded" if resident is None else f"{resident} is drained"
    return Decision(Action.SWAP, following.queue, f"{start}; {following.queue} {why}", cause)
