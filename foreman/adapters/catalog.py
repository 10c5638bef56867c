"""Which target has which model: a list of each target, read every few seconds and on a miss.
Which targets are away, since when and why, is known here, too.

Each target is queried by at most one thread at a time, and whoever needs its list meanwhile takes
what that query brings. A target that is away is never queried for a request: only `refresh` and
`refresh_target` do that, which the process calls in the background.
"""

import logging
import math
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from foreman.adapters.target import TargetClient, TargetRequest
from foreman.core.embedding import Listed
from foreman.core.lists import models_in
from foreman.core.steps import finished
from foreman.errors import NoLiveTarget, TargetError
from foreman.turns import give_turn

log = logging.getLogger(__name__)

FETCH_LIMIT_S = 3.0
# How often a target should be queried, and how often while it is away.
REFRESH_EVERY_S = 5.0
REFRESH_LOST_EVERY_S = 1.0
# A list that was asked for within this time is believed when it lacks a model.
MISS_PAUSE_S = 1.0
# How long a request waits for lists: a target that takes longer is away by then.
LOOKUP_LIMIT_S = FETCH_LIMIT_S + 0.5

NEVER = float("-inf")


@dataclass(frozen=True, slots=True)
class Listing:
    """What one target said of itself last."""

    models: Mapping[str, Listed]  # by canonical name
    is_reachable: bool


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a model is: the targets that have it, and whether it needs no GPU of theirs."""

    targets: tuple[str, ...]
    is_remote: bool
    listed: tuple[Listed, ...]  # what each of them says of it


class _Source:
    """One target: its last list, and the query in progress."""

    def __init__(self, client: TargetClient) -> None:
        self.client = client
        self.listing = Listing({}, False)
        self.heard_at = NEVER  # when the list that is here was asked for
        self.lost_at = NEVER
        self.away_at = NEVER  # since when it does not answer; NEVER: it never did
        self.trouble = ""  # why it does not
        self.logged = ""  # the last trouble that was logged
        self.queried_at: float | None = None  # when the query in progress began

    @property
    def is_heard(self) -> bool:
        return self.heard_at != NEVER

    def lose(self, trouble: str) -> None:
        self.lost_at = time.monotonic()
        self._leave(trouble)

    def settle(self, listing: Listing | None, trouble: str) -> None:
        """The query in progress has ended; None: without a list."""
        queried_at, self.queried_at = self.queried_at, None
        if listing is None:
            self._leave(trouble)
        elif queried_at is not None and queried_at > self.lost_at:
            self.listing, self.heard_at, self.trouble = listing, queried_at, ""
        # Else what it said is older than its absence.

    def _leave(self, trouble: str) -> None:
        if self.listing.is_reachable:
            self.away_at = time.monotonic()
        self.trouble = trouble
        self.listing = Listing(self.listing.models, is_reachable=False)


class Catalog:
    """The models of all targets. A target that does not answer keeps its last list."""

    def __init__(self, clients: Mapping[str, TargetClient]) -> None:
        self._sources = {name: _Source(client) for name, client in clients.items()}
        self._expired_at = NEVER
        # Guards the sources; notified whenever a query has ended.
        self._changed = threading.Condition()

    @property
    def targets(self) -> tuple[str, ...]:
        """All targets, in the order of the settings."""
        return tuple(self._sources)

    @property
    def reachable(self) -> tuple[str, ...]:
        """The targets that answered last time, in the order of the settings."""
        return tuple(name for name, each in self._sources.items() if each.listing.is_reachable)

    def is_reachable(self, target: str) -> bool:
        """Whether the target answered last time."""
        return self._sources[target].listing.is_reachable

    def away_s(self, target: str) -> float:
        """For how long the target has not answered; infinite: it never did."""
        source = self._sources[target]
        return 0.0 if source.listing.is_reachable else time.monotonic() - source.away_at

    def troubles(self, targets: Iterable[str]) -> str:
        """Why these targets do not answer, as far as it is known."""
        found = (self._sources[name].trouble for name in targets if not self.is_reachable(name))
        return "; ".join(trouble for trouble in found if trouble)

    def refresh_every_s(self, target: str) -> float:
        """How long the list of a target is good for now."""
        return REFRESH_EVERY_S if self.is_reachable(target) else REFRESH_LOST_EVERY_S

    def lose(self, target: str, trouble: str = "") -> None:
        """A target took no request: it is away until it is seen again."""
        with self._changed:
            self._sources[target].lose(trouble or f"target {target} does not accept connections")
        self._log(target)

    def expire(self) -> None:
        """Say that the lists have probably changed: the next lookup asks for them again."""
        self._expired_at = time.monotonic()

    def find(self, model: str, *, on: str | None = None) -> Placement | None:
        """Where a model (by its canonical name) is, among all targets or on one of them.

        None: each of them was heard and does not have it. The targets that answer are asked again
        when their lists lack it. NoLiveTarget: one that may have it has not been heard yet.
        """
        names = self.targets if on is None else (on,)
        found = self._look_up(model, names)
        young_enough = NEVER if found else time.monotonic() - MISS_PAUSE_S
        since = max(self._expired_at, young_enough)
        silent = self._renew(names, since, lambda: not found and bool(self._look_up(model, names)))
        # Again in any case: a list may have come since the first look.
        found = self._look_up(model, names)
        if found:
            return found
        if late := [each for each in names if each in silent or not self._sources[each].is_heard]:
            raise NoLiveTarget(
                "server busy, please try again: no target that answers has this model,"
                f" and these have not listed their models yet: {', '.join(late)}"
                + self._because(late)
            )
        return None

    def _because(self, targets: Iterable[str]) -> str:
        troubles = self.troubles(targets)
        return f" ({troubles})" if troubles else ""

    def look_up(self, model: str) -> Placement | None:
        """Where a model is by the lists that are here; asks nobody."""
        return self._look_up(model, self.targets)

    def models_of(self, target: str) -> frozenset[str]:
        """The canonical names of a target's own models."""
        models = self._sources[target].listing.models
        return frozenset(name for name, each in models.items() if not each.is_remote)

    def sizes_of(self, target: str) -> dict[str, int]:
        """The bytes of the files of a target's own models, by canonical name, where it says."""
        models = self._sources[target].listing.models
        sized = ((name, each) for name, each in models.items() if not each.is_remote)
        return {name: each.size_bytes for name, each in sized if each.size_bytes}

    def refresh(self, limit_s: float | None = None) -> None:
        """Ask every target for its list; returns when all have answered or failed to, or then."""
        self._wait(self._query(self.targets), limit_s)

    def refresh_target(self, target: str) -> None:
        """Ask one target for its list, and wait for it."""
        self._wait(self._query([target]), None)

    def _look_up(self, model: str, names: Iterable[str]) -> Placement | None:
        lists = ((name, self._sources[name].listing.models) for name in names)
        having = {name: models[model] for name, models in lists if model in models}
        if not having:
            return None
        is_remote = all(each.is_remote for each in having.values())
        return Placement(tuple(having), is_remote, tuple(having.values()))

    def _renew(self, names: Iterable[str], since: float, is_enough: Callable[[], bool]) -> set[str]:
        """Wait for lists asked for after `since`, not for long; the targets whose did not come.

        Only targets that answer are asked.
        """
        reachable = [name for name in names if self._sources[name].listing.is_reachable]
        queries = self._query(reachable, since)
        return self._wait(queries, LOOKUP_LIMIT_S, is_enough) if queries else set()

    def _query(self, names: Iterable[str], since: float = math.inf) -> dict[str, float]:
        """The queries of these targets, and when each began: the one in progress, or a new one.

        None for a target whose list was asked for after `since`.
        """
        queries: dict[str, float] = {}
        with self._changed:
            for name in names:
                source = self._sources[name]
                if source.heard_at >= since:
                    continue
                if source.queried_at is None:
                    threading.Thread(target=self._look, args=(name,), daemon=True).start()
                    source.queried_at = time.monotonic()
                queries[name] = source.queried_at
        return queries

    def _wait(
        self,
        queries: Mapping[str, float],
        limit_s: float | None,
        is_enough: Callable[[], bool] = lambda: False,
    ) -> set[str]:
        """Until all these queries have ended, or there is enough; the ones that still run."""

        def running() -> set[str]:
            return {name for name, at in queries.items() if self._sources[name].queried_at == at}

        with self._changed:
            self._changed.wait_for(lambda: not running() or is_enough(), limit_s)
            return running()

    def _look(self, name: str) -> None:
        source, listing, trouble = self._sources[name], None, "foreman failed to read its list"
        try:
            listing = _ask(source.client)
        except (TargetError, ValueError) as error:
            trouble = str(error)
        finally:
            with self._changed:
                source.settle(listing, trouble)
                self._changed.notify_all()
        self._log(name)

    def _log(self, name: str) -> None:
        """Log that a target has gone away, why, and that it is back; each change once."""
        source = self._sources[name]
        trouble, logged = source.trouble, source.logged
        if trouble == logged:
            return
        source.logged = trouble
        facts = {"target": name, "is_reachable": not trouble}
        if trouble:
            log.warning("target reachability changed", extra=facts | {"error": trouble})
        else:
            log.info("target reachability changed", extra=facts)


def _ask(client: TargetClient) -> Listing:
    """The list of a target; TargetError or ValueError when it gave none."""
    head, body = client.fetch(TargetRequest("GET", "/api/tags"), silence_s=FETCH_LIMIT_S)
    if head.status != 200:
        raise ValueError(f"it answered {head.status} when it was asked for its models")
    # Not in one piece: a target decides how much there is to read.
    return Listing(finished(models_in(body), give_turn), True)
