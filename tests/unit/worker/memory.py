"""What a simulated target has loaded, and how it makes room: as Ollama does."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from foreman.core.queues import Residency


@dataclass(slots=True)
class Memory:
    """`places` models of together `size` at most; each is `sizes[model]` large, else 1."""

    places: int
    size: int = 10**9
    load_s: float = 1.0
    sizes: Mapping[str, int] = field(default_factory=dict)
    loaded: dict[str, Residency] = field(default_factory=dict)  # by model, oldest first
    at_work: dict[int, str] = field(default_factory=dict)  # model, by run
    unloading: set[str] = field(default_factory=set)  # after its last run
    is_alive: bool = True
    life: int = 0
    overfull: int = 0  # a load that found no idle model to unload

    def size_of(self, model: str) -> int:
        return self.sizes.get(model, 1)

    def listed(self) -> dict[str, int]:
        return {model: self.size_of(model) for model in self.loaded}

    def residencies(self) -> list[Residency]:
        return list(self.loaded.values())

    def has(self, residency: Residency) -> bool:
        return self.loaded.get(residency.model) == residency

    def is_busy(self, model: str) -> bool:
        return model in self.at_work.values()

    def put(self, residency: Residency) -> None:
        self.loaded.pop(residency.model, None)
        self.loaded[residency.model] = residency
        self.unloading.discard(residency.model)

    def unload(self, model: str) -> None:
        self.loaded.pop(model, None)
        self.unloading.discard(model)

    def make_room(self, residency: Residency, first: Iterable[str] = ()) -> None:
        """Unload idle models until this one fits."""
        if self.has(residency):
            return
        self.unload(residency.model)
        order = [*first, *(each for each in self.loaded if each not in {*first})]
        for model in order:
            if self._fits(residency.model):
                return
            if model in self.loaded and not self.is_busy(model):
                self.unload(model)
        self.overfull += not self._fits(residency.model)

    def _fits(self, model: str) -> bool:
        sizes = [*self.listed().values(), self.size_of(model)]
        return len(sizes) <= self.places and (len(sizes) == 1 or sum(sizes) <= self.size)

    def begin(self, tag: int, residency: Residency, *, unloads: bool) -> None:
        if not self.has(residency):
            self.put(residency)
        self.at_work[tag] = residency.model
        if unloads:
            self.unloading.add(residency.model)

    def end(self, tag: int) -> None:
        model = self.at_work.pop(tag, None)
        if model in self.unloading and not self.is_busy(model):
            self.unload(model)

    def die(self) -> None:
        self.is_alive = False
        self.life += 1
        self.loaded.clear()
        self.at_work.clear()
        self.unloading.clear()
