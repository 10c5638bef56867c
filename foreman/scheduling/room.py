"""What is known of a target's room: which residencies it can hold at the same time.

The operator may state it (`residents=N`, `memory=SIZE`); the rest is learned by looking at what
is loaded before and after a load. Ollama reports the size of what is loaded, and never how much
memory there is, so the largest sum and count that were seen together are known to fit, and what
drove something out is known not to.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

# Of combinations that clashed, the smallest are kept.
CLASHES_KEPT = 8
# Of sizes, those that were seen last: each set of runner options makes a residency.
SIZES_KEPT = 500


class Fit(StrEnum):
    """Whether a set of residencies can be loaded at the same time."""

    FITS = "fits"
    UNKNOWN = "unknown"
    CLASHES = "clashes"  # learned: as many, or as large, have driven something out
    EXCEEDS = "exceeds"  # more than the operator says there is room for


@dataclass(frozen=True, slots=True)
class Clash:
    """So many residencies of so many bytes together were too many, or too large."""

    count: int
    size_bytes: int

    def is_within(self, count: int, size_bytes: int) -> bool:
        return self.count <= count and self.size_bytes <= size_bytes


@dataclass(frozen=True, slots=True)
class Room:
    """One target's room. `residents` and `memory_bytes` are stated, the rest is learned."""

    residents: int | None = None
    memory_bytes: int | None = None
    sizes: Mapping[str, int] = field(default_factory=dict)  # bytes, by residency
    seen_count: int = 1  # the most seen loaded together
    seen_bytes: int = 0  # the largest sum seen loaded together
    clashes: tuple[Clash, ...] = ()

    def fit(self, queues: Collection[str]) -> Fit:
        """Whether these residencies can be loaded at the same time. One alone always can."""
        count = len(queues)
        if count <= 1:
            return Fit.FITS
        if self.residents is not None and count > self.residents:
            return Fit.EXCEEDS
        size_bytes = self.size_of(queues)
        if self.memory_bytes is not None and (size_bytes or 0) > self.memory_bytes:
            return Fit.EXCEEDS
        if _has_twice(queues):
            return Fit.CLASHES
        if self.clashes and any(self._is_clash(each, count, size_bytes) for each in self.clashes):
            return Fit.CLASHES
        has_places = count <= max(self.seen_count, self.residents or 0)
        return Fit.FITS if has_places and self._has_memory(size_bytes) else Fit.UNKNOWN

    def size_of(self, queues: Iterable[str]) -> int | None:
        """Their bytes together; None when one of them was never seen loaded."""
        sizes = self.sizes
        total = 0
        for queue in queues:
            size = sizes.get(queue)
            if size is None:
                return None
            total += size
        return total

    def expecting(self, sizes: Mapping[str, int]) -> "Room":
        """Take these bytes for residencies that were never loaded; a load replaces them.

        Such as the size of a model's files, and what a context of its length needs. Better too
        much than too little: a target that is asked for what does not fit waits for a busy one.
        """
        return replace(self, sizes={**sizes, **self.sizes})

    def seen(self, loaded: Mapping[str, int]) -> "Room":
        """Learn from what is loaded now: bytes of video memory by residency.

        That is `size_vram`, since what runs partly without it is larger than the memory; `size`
        where there is none (0).
        """
        count, size_bytes = len(loaded), sum(loaded.values())
        if (
            count <= self.seen_count
            and size_bytes <= self.seen_bytes
            and not self.clashes
            and all(self.sizes.get(queue) == size for queue, size in loaded.items())
        ):
            return self
        # The newest observation wins: what is loaded together does not clash.
        return replace(
            self,
            sizes=_newest({**self.sizes, **loaded}, loaded),
            seen_count=max(self.seen_count, count),
            seen_bytes=max(self.seen_bytes, size_bytes),
            clashes=tuple(each for each in self.clashes if not each.is_within(count, size_bytes)),
        )

    def learned(self, before: Mapping[str, int], loaded: str, after: Mapping[str, int]) -> "Room":
        """Learn from a load of `loaded`: what `/api/ps` listed before it and after it.

        `before` holds only what would have stayed by itself. A target evicts one at a time until
        the new one fits, so what stayed and the largest that went did not fit together.
        """
        room = self.seen(before).seen(after)
        gone = [size for queue, size in before.items() if queue not in after and queue != loaded]
        if not gone or loaded not in after:
            return room
        return room._clashed(Clash(len(after) + 1, sum(after.values()) + max(gone)))

    def as_plain(self) -> dict[str, object]:
        """What was learned, as plain values that JSON can hold."""
        return {
            "sizes": dict(self.sizes),
            "seen_count": self.seen_count,
            "seen_bytes": self.seen_bytes,
            "clashes": [[each.count, each.size_bytes] for each in self.clashes],
        }

    def _is_clash(self, clash: Clash, count: int, size_bytes: int | None) -> bool:
        is_count_known = clash.count <= max(self.seen_count, self.residents or 0)
        is_size_known = clash.size_bytes <= self.seen_bytes
        # As many have been seen together: it was their size. And the other way round.
        is_many = count >= clash.count or (is_count_known and not is_size_known)
        if size_bytes is None:
            return is_size_known and not is_count_known and is_many
        is_large = size_bytes >= clash.size_bytes or (is_size_known and not is_count_known)
        return is_many and is_large

    def _has_memory(self, size_bytes: int | None) -> bool:
        if self.memory_bytes is None and self.residents is not None:
            return True  # the operator counts models
        if size_bytes is None:
            return False
        return size_bytes <= max(self.seen_bytes, self.memory_bytes or 0)

    def _clashed(self, new: Clash) -> "Room":
        if any(new.count >= old.count and new.size_bytes >= old.size_bytes for old in self.clashes):
            return self
        kept = [old for old in self.clashes if not new.is_within(old.count, old.size_bytes)]
        return replace(self, clashes=(*kept, new)[-CLASHES_KEPT:])


def _newest(sizes: Mapping[str, int], loaded: Collection[str]) -> Mapping[str, int]:
    """At most SIZES_KEPT of them: those that are loaded, and the newest of the others."""
    if len(sizes) <= SIZES_KEPT:
        return sizes
    others = [queue for queue in sizes if queue not in loaded]
    kept = others[max(0, len(sizes) - SIZES_KEPT) :]
    return {queue: sizes[queue] for queue in (*kept, *loaded)}


def _has_twice(queues: Collection[str]) -> bool:
    """Whether two of them are one model with other options: a target loads it once."""
    if "~" not in "".join(queues):
        return False  # they are asked often, and without options they are different models
    models = [queue.partition("~")[0] for queue in queues]
    return len(set(models)) < len(models)


def room_of(
    plain: Mapping[str, object], *, residents: int | None = None, memory_bytes: int | None = None
) -> Room:
    """A room from what `Room.as_plain` gave, with what the operator states now."""
    sizes, clashes = plain.get("sizes"), plain.get("clashes")
    seen_count, seen_bytes = plain.get("seen_count"), plain.get("seen_bytes")
    return Room(
        residents=residents,
        memory_bytes=memory_bytes,
        sizes={str(queue): int(size) for queue, size in dict(_mapping(sizes)).items()},
        seen_count=seen_count if isinstance(seen_count, int) else 1,
        seen_bytes=seen_bytes if isinstance(seen_bytes, int) else 0,
        clashes=tuple(
            Clash(int(each[0]), int(each[1]))
            for each in (clashes if isinstance(clashes, list | tuple) else ())
        ),
    )


def _mapping(value: object) -> Mapping[str, int]:
    return value if isinstance(value, Mapping) else {}
