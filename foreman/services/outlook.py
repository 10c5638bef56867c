"""What each queue may expect: when it is served, at the latest when, and why not now."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from foreman.adapters.catalog import Catalog
from foreman.config import Settings
from foreman.core.drain import Action, Line, Rules, Waiting, decide, wait_bound_s
from foreman.core.forecast import Backlog, Standing, Stay, eta_s, foresee
from foreman.core.outlook import Costs, line_beside
from foreman.core.queues import JobClass, queue_model
from foreman.store.queue_rows import QueueFacts, RunTimes, TargetState

# What a run is taken to last before any has ended.
PRIOR_RUN_S = 10.0
INFINITE = float("inf")


def rules_of(settings: Settings) -> Rules:
    """What the drain policy decides by."""
    return Rules(
        max_wait_interactive_s=settings.max_wait_interactive_s,
        max_wait_batch_s=settings.max_wait_batch_s,
        kappa=settings.swap_kappa,
        job_limit_s=settings.job_timeout_s,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueReport:
    """One residency that has work or is loaded. Times in seconds; None: not known."""

    queue: str
    model: str
    waiting: dict[JobClass, int]
    oldest_wait_s: dict[JobClass, float]
    resident_on: list[str]
    loading_on: list[str]
    run_p50_s: float | None
    run_p90_s: float | None
    swap_s: dict[str, float]  # by target
    starts_p50_s: float | None
    starts_p90_s: float | None
    bound_s: dict[JobClass, float]  # its next visit starts within, whatever comes
    why: str  # it is served, or is not, now


class Prospect:
    """Forecasts over one picture of the queues."""

    def __init__(self, facts: QueueFacts, rules: Rules, catalog: Catalog) -> None:
        self._facts = facts
        self._rules = rules
        self._catalog = catalog
        self._waiting: dict[str, list[Waiting]] = defaultdict(list)
        for each in facts.waiting:
            self._waiting[each.queue].append(each)
        self._futures: dict[tuple[str, bool], list[Stay]] = {}

    def count(self, queue: str | None = None) -> int:
        """Jobs that wait, for one residency or for all."""
        return sum(each.count for each in self._facts.waiting if queue in (None, each.queue))

    def eta_s(
        self, queue: str, model: str, position: int, *, is_p90: bool, pinned: str | None = None
    ) -> float | None:
        """Seconds until the job at `position` (from 0) of a queue starts; None: not foreseen."""
        run_s = self._run_s(queue, is_p90)
        etas = [
            eta_s(
                self._future(target, is_p90),
                queue,
                position=position,
                slots=target.slots,
                run_s=run_s,
            )
            for target in self._able(model)
            if pinned in (None, target.name)
        ]
        soonest = min(etas, default=INFINITE)
        return None if soonest == INFINITE else soonest

    def reports(self) -> list[QueueReport]:
        """Every residency that has work or is loaded, the longest wait first."""
        resident = {each.resident_queue for each in self._facts.targets if each.resident_queue}
        reports = [self._report(queue) for queue in resident | self._waiting.keys()]
        return sorted(reports, key=lambda each: (-max(each.oldest_wait_s.values(), default=0.0),
                                                 each.queue))  # fmt: skip

    def _report(self, queue: str) -> QueueReport:
        waiting = self._waiting.get(queue, [])
        model = waiting[0].model if waiting else queue_model(queue) or queue
        times = self._facts.runs.get(queue)
        able = self._able(model)
        counts: dict[JobClass, int] = defaultdict(int)
        oldest: dict[JobClass, float] = {}
        for each in waiting:
            counts[each.job_class] += each.count
            oldest[each.job_class] = max(each.wait_s, oldest.get(each.job_class, 0.0))
        return QueueReport(
            queue=queue,
            model=model,
            waiting={each: counts[each] for each in JobClass},
            oldest_wait_s=oldest,
            resident_on=[t.name for t in self._facts.targets if t.resident_queue == queue],
            loading_on=[t.name for t in self._facts.targets if t.loading_queue == queue],
            run_p50_s=times.p50_s if times else None,
            run_p90_s=times.p90_s if times else None,
            swap_s={t.name: Costs(t.costs).swap_s(queue) for t in able},
            starts_p50_s=self.eta_s(queue, model, 0, is_p90=False) if waiting else None,
            starts_p90_s=self.eta_s(queue, model, 0, is_p90=True) if waiting else None,
            bound_s={each: bound for each in JobClass if (bound := self._bound(queue, able, each))},
            why=self._why(queue, able),
        )

    def _able(self, model: str) -> list[TargetState]:
        """The live targets that have a model."""
        found = self._catalog.look_up(model)
        names = found.targets if found else ()
        live = (each for each in self._facts.targets if each.is_live and not each.sick_reason)
        return [each for each in live if each.name in names]

    def _served_by(self, target: TargetState) -> dict[str, list[Waiting]]:
        """What waits and this target may serve."""
        mine: dict[str, list[Waiting]] = {}
        for queue, waiting in self._waiting.items():
            may = [each for each in waiting if each.pinned_target in (None, target.name)]
            found = self._catalog.look_up(waiting[0].model)
            if may and found and target.name in found.targets:
                mine[queue] = may
        return mine

    def _future(self, target: TargetState, is_p90: bool) -> list[Stay]:
        key = (target.name, is_p90)
        if key not in self._futures:
            standing = Standing(
                target.resident_queue,
                target.dwell_s,
                Costs(target.costs).swap_s(target.resident_queue or ""),
                target.running,
                target.slots,
            )
            backlogs = [
                Backlog(line, sum(each.count for each in waiting), self._run_s(queue, is_p90))
                for queue, waiting, line in self._lines(target)
            ]
            self._futures[key] = foresee(self._rules, standing, backlogs)
        return self._futures[key]

    def _lines(self, target: TargetState) -> Iterator[tuple[str, list[Waiting], Line]]:
        costs = Costs(target.costs)
        for queue, waiting in self._served_by(target).items():
            others = [
                each
                for each in self._facts.targets
                if each.name != target.name and each.is_live and not each.sick_reason
            ]
            line = line_beside(
                queue,
                waiting,
                costs,
                is_resident_elsewhere=any(each.resident_queue == queue for each in others),
                is_loading_elsewhere=any(each.loading_queue == queue for each in others),
            )
            if line is not None:
                yield queue, waiting, line

    def _run_s(self, queue: str, is_p90: bool) -> float:
        times: RunTimes | None = self._facts.runs.get(queue)
        if times is None:
            return PRIOR_RUN_S
        return times.p90_s if is_p90 else times.p50_s

    def _bound(self, queue: str, able: Sequence[TargetState], job_class: JobClass) -> float | None:
        bounds = []
        for target in able:
            costs = Costs(target.costs)
            others = {*self._served_by(target), target.resident_queue or queue} - {queue}
            bounds.append(
                wait_bound_s(
                    self._rules,
                    job_class,
                    swap_s=costs.swap_s(queue),
                    others_swap_s=[costs.swap_s(each) for each in others],
                )
            )
        return min(bounds, default=None)

    def _why(self, queue: str, able: Sequence[TargetState]) -> str:
        if not able:
            return "no live target has its model"
        if queue not in self._waiting:
            return "nothing of it waits"
        return "; ".join(f"{target.name}: {self._decision(target, queue)}" for target in able)

    def _decision(self, target: TargetState, queue: str) -> str:
        if target.loading_queue is not None:
            is_this = target.loading_queue == queue
            return "it is being loaded" if is_this else f"{target.loading_queue} is being loaded"
        decision = decide(
            rules=self._rules,
            resident=target.resident_queue,
            dwell_s=target.dwell_s,
            running=target.running,
            lines=[line for _, _, line in self._lines(target)],
            swap_in_s=Costs(target.costs).swap_s(target.resident_queue or ""),
        )
        if decision.action is Action.TAKE and target.resident_queue == queue:
            return "it is being served"
        if decision.action is Action.TAKE:
            return f"serves {target.resident_queue}: {decision.reason}"
        return decision.reason
