"""The target: loads, what it has loaded, probes; and somebody else who uses it."""

from foreman.core.queues import Residency
from foreman.errors import LoadFailed, TargetCut
from foreman.worker import effects, events
from foreman.worker.state import Setup
from tests.unit.worker.memory import Memory
from tests.unit.worker.simulated.tasks import WithTasks


class WithTarget(WithTasks):
    """Loads one model at a time, in the order in which they are asked for."""

    def __init__(self, setup: Setup, memory: Memory, seed: int) -> None:
        super().__init__(setup, memory, seed)
        self.loads: list[tuple[float, str]] = []  # when, and the queue
        self._lane_free_at = 0.0
        self._is_loading = False

    def _do_loadmodel(self, effect: effects.LoadModel) -> None:
        begin_at = max(self.now, self._lane_free_at) + self.soon(0.001, 0.01)
        self.after(begin_at - self.now, lambda: self._load(effect))

    def _load(self, effect: effects.LoadModel) -> None:
        memory = self.memory
        assert not self._is_loading, "two loads at once"
        if not memory.is_alive:
            self._say("load", events.LoadEnded(effect.lease, effect.queue, TargetCut()), 0.001)
            return
        assert not self.faults.is_sick or effect.lease != self.state.lease or self._was_begun()
        for model in effect.victims:
            assert not memory.is_busy(model), f"{model} is unloaded and has jobs"
            memory.unload(model)
        before, was_loaded = memory.listed(), memory.has(effect.residency)
        self.loads.append((self.now, effect.queue))
        memory.make_room(effect.residency, first=effect.may_go)
        takes_s = 0.001 if was_loaded else memory.load_s
        self._is_loading, self._lane_free_at = True, self.now + takes_s
        life, began_at = memory.life, self.now

        def end() -> None:
            self._is_loading = False
            if memory.life != life or self.random.random() < self.faults.failed_loads:
                ended = events.LoadEnded(effect.lease, effect.queue, LoadFailed("no"))
                self._say("load", ended, 0.0005)
                return
            memory.put(effect.residency)
            loaded = events.Loaded(
                lease=effect.lease,
                queue=effect.queue,
                cost_s=self.now - began_at,
                was_loaded=was_loaded,
                before=before,
                after=memory.listed(),
            )
            self._say("load", loaded, 0.0005)

        self.after(takes_s, end)

    def _was_begun(self) -> bool:
        """A load that was ordered before the target fell sick."""
        return self.state.load is not None

    def _do_observe(self, effect: effects.Observe) -> None:
        began_at = self.now
        listed = None
        if self.memory.is_alive:
            listed = {
                model: events.Listed(model, size, 300.0)
                for model, size in self.memory.listed().items()
            }
        self._say("look", events.Observed(began_at, listed), self.soon(0.001, 0.02))

    def _do_probe(self, effect: effects.Probe) -> None:
        why = "sick" if self.faults.is_sick else None
        self._say("look", events.Probed(effect.lease, why), self.soon())

    def die(self, seconds: float) -> None:
        """The target's process ends, and is there again after a while."""
        self.memory.die()
        self._say("target", events.Reached(False), self.soon(0.001, 0.5))
        self.after(seconds, self._revive)

    def _revive(self) -> None:
        self.memory.is_alive = True
        self._say("target", events.Reached(True), self.soon(0.001, 0.5))

    def somebody_loads(self, model: str) -> None:
        if self.memory.is_alive:
            self.memory.make_room(Residency(model))
            self.memory.put(Residency(model))

    def somebody_unloads(self, model: str) -> None:
        if not self.memory.is_busy(model):
            self.memory.unload(model)

    def refuse(self, model: str, seconds: float) -> None:
        """The operator pauses the queue of a model for a while."""
        queue = Residency(model).queue
        self._say("control", events.Refuse(queue, True), 0.001)
        self.after(seconds, lambda: self._say("control", events.Refuse(queue, False), 0.001))
