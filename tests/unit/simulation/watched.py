"""Ours, watched at each of its steps: what it promises is checked when it could be broken."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from foreman.core.arrivals import Arrival
from foreman.core.queues import JobClass
from foreman.scheduling.bound import Turn, count_ahead, longest_turn, promised_by
from foreman.scheduling.room import Room
from foreman.scheduling.values import Demand, VisitRules
from foreman.simulation.drain.engine import Clients, Engine
from foreman.simulation.drain.fleet import Fleet, Memory, OpenVisit, SimulatedTarget
from foreman.simulation.drain.ours import Ours
from foreman.simulation.drain.steps import Bring, Rest, Step
from foreman.simulation.drain.tally import Promises, Start, Tally, Visit

ALL = 10**9
CLOSE_S = 1e-6


@dataclass
class Watched:
    """The policy, and what was promised to whom."""

    rules: VisitRules
    memory: Memory
    ours: Ours
    turn: Turn
    is_room_known: bool = True
    promised: dict[tuple[str, JobClass], float] = field(default_factory=dict)
    started: list[Arrival] = field(default_factory=list)
    tries: int = 0

    def arrived(self, job: Arrival, fleet: Fleet) -> None:
        self.ours.arrived(job, fleet)
        self._note_promises(fleet)

    def ended(self, target: SimulatedTarget, visit: OpenVisit, fleet: Fleet) -> None:
        self.ours.ended(target, visit, fleet)

    def unloaded(self, target: SimulatedTarget, visit: OpenVisit, fleet: Fleet) -> None:
        self.ours.unloaded(target, visit, fleet)

    def loaded(self, target: SimulatedTarget, before: tuple[str, ...], fleet: Fleet) -> None:
        queue = next(reversed(target.residents))
        for job_class in JobClass:
            by = self.promised.pop((queue, job_class), None)
            assert by is None or fleet.now <= by + CLOSE_S, f"{queue} came later than promised"
        self.ours.loaded(target, before, fleet)

    def step(self, target: SimulatedTarget, fleet: Fleet) -> Step:
        step = self.ours.step(target, fleet)
        self._note_promises(fleet)
        if isinstance(step, Bring):
            self._check_bring(step, target)
        elif isinstance(step, Rest):
            self._check_rest(step, target, fleet)
        else:
            line = fleet.waiting[step.queue].line(step.job_class)
            assert line[0] is step, "first in, first out within a class"
            self.started.append(step)
        return step

    def _check_bring(self, bring: Bring, target: SimulatedTarget) -> None:
        for queue in (*bring.victims, *bring.may_go):
            assert target.residents[queue].running == 0, "no victim has running jobs"
        staying = set(target.residents) - set(bring.victims)
        self.tries += bool(bring.may_go)
        if not bring.may_go:
            assert self.memory.holds([*staying, bring.queue]), "room is never exceeded"
        if self.is_room_known:
            assert not bring.may_go, "where the room is known nothing is tried"

    def _check_rest(self, rest: Rest, target: SimulatedTarget, fleet: Fleet) -> None:
        late = [each for each in fleet.waiting if self._is_late(each, fleet)]
        for queue, visit in target.residents.items():
            if fleet.has_work(queue) and visit.running < target.slots:
                assert visit.is_closing, "a resident with work and a slot takes its next job"
                assert set(late) - set(target.residents), "only for the overdue"
        if target.loading is not None:
            return
        waiting = [
            queue for queue in fleet.waiting if fleet.has_work(queue) and not fleet.is_loaded(queue)
        ]
        if waiting and not target.running:
            assert rest.look_in_s < float("inf"), "an idle target only lingers for some time"
        if not late and self.is_room_known:
            for queue in waiting:
                fits = self.memory.holds([*target.residents, queue])
                assert not fits, "what fits is loaded at once"

    def _is_late(self, queue: str, fleet: Fleet) -> bool:
        waiting = fleet.waiting[queue]
        return any(
            bool(waiting.line(each))
            and fleet.now - waiting.line(each)[0].at >= self.rules.max_wait_s(each) - CLOSE_S
            for each in JobClass
        )

    def _note_promises(self, fleet: Fleet) -> None:
        """Of all promises that could have been printed, the earliest is the one to keep."""
        for queue in fleet.waiting:
            if not fleet.has_work(queue) or fleet.is_loaded(queue):
                continue
            for job_class in JobClass:
                if fleet.waiting[queue].line(job_class):
                    by = min(
                        self._promised_by(queue, job_class, target, fleet)
                        for target in fleet.targets
                    )
                    old = self.promised.get((queue, job_class), by)
                    self.promised[queue, job_class] = min(old, by)

    def _promised_by(
        self, queue: str, job_class: JobClass, target: SimulatedTarget, fleet: Fleet
    ) -> float:
        demands = {
            each: Demand(
                each,
                waiting.interactive[0].at if waiting.interactive else None,
                waiting.batch[0].at if waiting.batch else None,
                fleet.swap_s[each],
                target.left_at.get(each, -float("inf")),
            )
            for each, waiting in fleet.waiting.items()
        }
        return promised_by(
            self.rules,
            demands[queue],
            job_class,
            now=fleet.now,
            turn=self.turn,
            ahead=count_ahead(demands.values(), target.taken)[queue],
        )


@dataclass(frozen=True)
class Watch:
    """A run that kept all promises."""

    policy: Watched
    tally: Tally

    @property
    def visits(self) -> list[Visit]:
        return self.tally.visits

    @property
    def starts(self) -> list[Start]:
        return self.tally.starts


def watch(
    arrivals: Sequence[Arrival] | Clients,
    rules: VisitRules,
    load_s: Mapping[str, float],
    memory: Memory,
    *,
    targets: int = 1,
    slots: int = 1,
    is_room_known: bool = True,
) -> Watch:
    """Serve `arrivals` by ours; AssertionError says which promise was broken."""
    known = Room(memory.residents, memory.size_bytes, memory.sizes) if is_room_known else Room()
    turn = longest_turn(rules, load_s.values(), places=memory.residents)
    policy = Watched(rules, memory, Ours(rules, known), turn, is_room_known)
    tally = Tally(Promises(rules, load_s, places=memory.residents), keep=ALL)
    Engine(policy, tally, load_s, targets=targets, slots=slots, memory=memory).run(arrivals)
    assert not policy.promised, "everybody was visited"
    if isinstance(arrivals, Sequence):
        assert len(policy.started) == len(arrivals), "every job is served"
    return Watch(policy, tally)
