"""What Ollama does by itself, with its habits (server/sched.go of 0.33)."""

from collections import defaultdict, deque

from foreman.core.arrivals import Arrival
from foreman.simulation.drain.fleet import Fleet, OpenVisit, SimulatedTarget
from foreman.simulation.drain.steps import RESTED, Bring, Indifferent, Step


class OllamaLike(Indifferent):
    """Models next to each other as far as there is room; the victim is the first idle by name.

    1. A request for a loaded model goes straight to it, past those that wait, even while it is
       the victim: so a busy victim is awaited for as long as requests for it keep coming.
    2. All others, those for the model that is being loaded too, wait in one line, and its first
       blocks the rest until its model is loaded.
    3. The victim is an idle model, the first by name since all have the same keep_alive; if none
       is idle, the first by name, and it stays the victim though another falls idle meanwhile.
    A job goes to the target with the fewest jobs, for good, as with a load balancer.
    """

    def __init__(self) -> None:
        self._direct: dict[int, dict[str, deque[Arrival]]] = defaultdict(lambda: defaultdict(deque))
        self._pending: dict[int, deque[Arrival]] = defaultdict(deque)
        self._victim: dict[int, str] = {}
        self._jobs: dict[int, int] = defaultdict(int)

    def arrived(self, job: Arrival, fleet: Fleet) -> None:
        target = min(fleet.targets, key=lambda each: (self._jobs[each.number], each.number))
        self._jobs[target.number] += 1
        if job.queue in target.residents:
            self._direct[target.number][job.queue].append(job)
        else:
            self._pending[target.number].append(job)

    def ended(self, target: SimulatedTarget, visit: OpenVisit, fleet: Fleet) -> None:
        self._jobs[target.number] -= 1

    def step(self, target: SimulatedTarget, fleet: Fleet) -> Step:
        direct, pending = self._direct[target.number], self._pending[target.number]
        if target.loading is None:
            while pending and pending[0].queue in target.residents:
                job = pending.popleft()
                direct[job.queue].append(job)
        for queue, visit in target.residents.items():
            if visit.running < target.slots and direct[queue]:
                return direct[queue].popleft()
        if pending and target.loading is None:
            return self._load(target, pending[0].queue)
        return RESTED

    def _load(self, target: SimulatedTarget, queue: str) -> Step:
        """Load what the line's first asks for, if the victim is idle."""
        direct = self._direct[target.number]
        going: list[str] = []
        while not target.memory.holds([*(set(target.residents) - set(going)), queue]):
            staying = sorted(set(target.residents) - set(going))
            idle = [
                each for each in staying if not target.residents[each].running and not direct[each]
            ]
            if not idle:
                self._victim.setdefault(target.number, staying[0])
            victim = self._victim.get(target.number, idle[0] if idle else "")
            if victim not in idle:
                return RESTED
            self._victim.pop(target.number, None)
            going.append(victim)
        self._victim.pop(target.number, None)
        return Bring(queue, "drained" if going else "fits", victims=tuple(going))
