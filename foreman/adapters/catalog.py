"""Which target has which model: a list a target, read every few seconds and on a miss."""

import json
import logging
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from foreman.adapters.target import TargetClient, TargetRequest
from foreman.core.queues import canonical_name
from foreman.errors import TargetError

log = logging.getLogger(__name__)

FETCH_LIMIT_S = 3.0
# How often a process that serves should call `refresh`, and how often while a target is away.
REFRESH_EVERY_S = 5.0
REFRESH_LOST_EVERY_S = 1.0
# A name that nobody has is asked for again at most this often.
MISS_PAUSE_S = 1.0


@dataclass(frozen=True, slots=True)
class Listing:
    """What one target said of itself last."""

    models: Mapping[str, bool]  # canonical name → whether it runs elsewhere
    is_reachable: bool


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a model is: the targets that have it, and whether it needs no GPU of theirs."""

    targets: tuple[str, ...]
    is_remote: bool


class Catalog:
    """The models of all targets. A target that does not answer keeps its last list."""

    def __init__(self, clients: Mapping[str, TargetClient]) -> None:
        self._clients = clients
        self._listings: dict[str, Listing] = {name: Listing({}, False) for name in clients}
        self._asked_at = float("-inf")
        self._is_stale = True
        self._lost_at: dict[str, float] = {}
        self._one_refresh = threading.Lock()
        self._lock = threading.Lock()

    @property
    def reachable(self) -> tuple[str, ...]:
        """The targets that answered last time, in the order of the settings."""
        return tuple(name for name, listing in self._listings.items() if listing.is_reachable)

    @property
    def refresh_every_s(self) -> float:
        """How long the lists are good for now."""
        is_whole = len(self.reachable) == len(self._clients)
        return REFRESH_EVERY_S if is_whole else REFRESH_LOST_EVERY_S

    def is_reachable(self, target: str) -> bool:
        """Whether the target answered last time."""
        return self._listings[target].is_reachable

    def lose(self, target: str) -> None:
        """A target refused a connection: it is away until it is seen again."""
        with self._lock:
            self._lost_at[target] = time.monotonic()
            self._listings[target] = Listing(self._listings[target].models, is_reachable=False)

    def find(self, model: str) -> Placement | None:
        """Where a model (by its canonical name) is; asks the targets when nobody had it."""
        if self._is_stale:
            self.refresh()
        found = self.look_up(model)
        if found is None and time.monotonic() - self._asked_at > MISS_PAUSE_S:
            self.refresh()
            found = self.look_up(model)
        return found

    def models_of(self, target: str) -> frozenset[str]:
        """The canonical names of a target's own models."""
        models = self._listings[target].models
        return frozenset(name for name, is_remote in models.items() if not is_remote)

    def expire(self) -> None:
        """Say that the lists have probably changed."""
        self._is_stale = True

    def refresh(self) -> None:
        """Ask every target for its list now."""
        with self._one_refresh:
            self._asked_at, self._is_stale = time.monotonic(), False
            with ThreadPoolExecutor(len(self._clients)) as pool:
                for _ in pool.map(self._look, self._clients):
                    pass  # each answer counts when it comes, whatever the others do

    def look_up(self, model: str) -> Placement | None:
        """Where a model is by the lists that are here; asks nobody."""
        having = {
            n: each.models[model] for n, each in self._listings.items() if model in each.models
        }
        if not having:
            return None
        return Placement(tuple(having), is_remote=all(having.values()))

    def _look(self, name: str) -> None:
        asked_at = time.monotonic()
        listing = self._ask(self._clients[name])
        with self._lock:
            known = self._listings[name]
            if listing is None:
                listing = Listing(known.models, is_reachable=False)
            elif self._lost_at.get(name, 0.0) >= asked_at:
                return  # what it said is older than its absence
            self._listings[name] = listing
        if listing.is_reachable != known.is_reachable:
            log.info(
                "target reachability changed",
                extra={"target": name, "is_reachable": listing.is_reachable},
            )

    def _ask(self, client: TargetClient) -> Listing | None:
        try:
            head, body = client.fetch(TargetRequest("GET", "/api/tags"), silence_s=FETCH_LIMIT_S)
            entries = json.loads(body)["models"] if head.status == 200 else None
            if entries is None:
                return None
            named = {
                canonical_name(str(each["name"])): bool(each.get("remote_host")) for each in entries
            }
        except (TargetError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None
        return Listing({name: remote for name, remote in named.items() if name}, True)
