"""A worker's story, told to `step`: what happens, and what the worker then does.

Nothing here waits: time passes when a test says so. What the worker asks the database and the
target for is answered at once by `rows` and `listed`, unless the test holds the answers back.
"""

import itertools
from collections.abc import Mapping
from typing import Any, TypeVar

from foreman.core.lease import Lease
from foreman.core.outlook import Cost, Costs
from foreman.core.queues import JobClass, Residency, class_queue, queue_model
from foreman.core.waiting import Waiting
from foreman.errors import ForemanError
from foreman.scheduling.room import Room
from foreman.scheduling.values import VisitRules
from foreman.worker import effects, events
from foreman.worker.effects import Effect
from foreman.worker.events import Event, Listed
from foreman.worker.state import Ask, Park, Setup, State, View
from foreman.worker.step import step

LEASE = Lease("gpu", 1)
GIB = 1024**3
LOAD_S = 5.0
# What an answer of the database or of the target takes here.
SOON_S = 0.001
RULES = VisitRules(max_wait_interactive_s=30, max_wait_batch_s=600, job_limit_s=1800)
ONE = Room(residents=1)
TWO = Room(residents=2)

Done = TypeVar("Done", bound=Effect)


def queue(name: str) -> str:
    """The model queue of the model `name`."""
    return Residency(model(name)).queue


def model(name: str) -> str:
    return f"{name}:latest"


def setup(**changes: Any) -> Setup:
    """One target with two slots."""
    given: dict[str, Any] = {
        "rules": RULES,
        "slots": {"gpu": 2},
        "lease_s": 30.0,
        "shutdown_s": 20.0,
    }
    return Setup(**(given | changes))


class Scene:
    """A worker and what it is told."""

    def __init__(self, given: Setup | None = None) -> None:
        self.state = State(given or setup(), 1000.0)
        self.did: list[Effect] = []  # since the last thing that happened
        self.rows: dict[str, Waiting] = {}  # by Celery queue
        self.listed: dict[str, Listed] | None = {}
        self.view: dict[str, Any] = {}  # more of what the next views say
        self.answers_looks = True
        self.answers_observes = True
        self.has_database = True
        self.renews = True
        self.ticks = 0
        self._tags = itertools.count(1)
        self._jobs = itertools.count(1)

    @property
    def now(self) -> float:
        return self.state.now

    # What happens

    def happens(self, event: Event) -> "Scene":
        """The event, and the answers to what the worker asks for by it."""
        self.did = []
        self._tell(event, self.now)
        return self

    def passes(self, seconds: float) -> "Scene":
        """Time, with a step whenever the worker wants one."""
        self.did = []
        end = self.now + seconds
        while self.state.wake_at < end:
            assert self.state.wake_at > self.now, "a step does not ask for itself again"
            self.ticks += 1
            self._tell(events.Tick(), self.state.wake_at)
            lease, now = self.state.lease, self.now
            if self.renews and lease and now - self.state.renewed_at > self.state.setup.lease_s / 3:
                self._tell(events.Renewed(lease, now), now)
        self._tell(events.Tick(), max(end, self.now))
        return self

    def _tell(self, event: Event, now: float) -> None:
        self.state, done = step(self.state, event, now)
        self.did += done
        for effect in done:
            if isinstance(effect, effects.Look) and self.answers_looks:
                self._tell(events.Viewed(effect.lease, self.read(now)), now + SOON_S)
            elif isinstance(effect, effects.Observe) and self.answers_observes:
                self._tell(events.Observed(now, self.listed), now + SOON_S)

    def read(self, at: float) -> View | None:
        """What the database says; None: it does not answer."""
        if not self.has_database:
            return None
        waiting: dict[str, tuple[Waiting, ...]] = {}
        for each in self.rows.values():
            waiting[each.queue] = (*waiting.get(each.queue, ()), each)
        costs = {each: Cost(LOAD_S, None) for each in waiting}
        given: dict[str, Any] = {
            "waiting": waiting,
            "names": frozenset(self.rows),
            "costs": Costs(costs),
        }
        return View(at, **({"took_s": SOON_S} | given | self.view))

    def looks(self) -> "Scene":
        """The database answers a look that the test held back."""
        assert self.state.lease is not None
        return self.happens(events.Viewed(self.state.lease, self.read(self.now)))

    def waits(self, name: str, seconds: float = 0.0, **changes: Any) -> "Scene":
        """A row of this model waits since so long; views say so from now on."""
        given: dict[str, Any] = {"job_class": JobClass.INTERACTIVE, "pinned_target": None}
        row = Waiting(queue(name), model=model(name), wait_s=seconds, count=1, **(given | changes))
        self.rows[row.name] = row
        return self

    def waits_no_more(self, name: str) -> "Scene":
        self.rows = {each: row for each, row in self.rows.items() if row.queue != queue(name)}
        return self

    def message(
        self, name: str, *, job_id: str | None = None, number: int | None = None, **pinned: Any
    ) -> int:
        """A message of a job comes, by the newest wish unless `number` names another."""
        tag = next(self._tags)
        job_id = job_id or f"job-{next(self._jobs)}"
        number = self.state.pulls.number if number is None else number
        celery_queue = class_queue(queue(name), JobClass.INTERACTIVE, **pinned)
        self.happens(events.Message(tag, celery_queue, job_id, number))
        return tag

    def empty(self) -> "Scene":
        """The queues that were asked hold no message."""
        return self.happens(events.Empty(self.state.pulls.number))

    def claims(self, tag: int, waited_s: float = 0.0, attempts_left: int = 2) -> "Scene":
        """A run claims the row of this message; nothing more of it waits."""
        residency = Residency(queue_model(self.state.jobs[tag].queue) or "")
        self.rows = {k: row for k, row in self.rows.items() if row.queue != residency.queue}
        return self.happens(
            events.Claimed(
                tag=tag,
                model=residency.model,
                residency=residency,
                waited_s=waited_s,
                attempts_left=attempts_left,
            )
        )

    def ends(
        self,
        tag: int,
        error: ForemanError | None = None,
        *,
        has_bytes: bool = True,
        unloads: bool = False,
    ) -> "Scene":
        """The target has answered, or failed."""
        return self.happens(
            events.Ended(tag=tag, error=error, has_bytes=has_bytes, unloads=unloads)
        )

    def starts(self, name: str) -> int:
        """A job of a resident comes and runs."""
        tag = self.message(name)
        assert self.one(effects.StartRun) == effects.StartRun(tag, True)
        self.claims(tag)
        return tag

    def serves(self, name: str, seconds: float = 1.0) -> "Scene":
        """A whole job of a resident."""
        tag = self.starts(name)
        self.passes(seconds)
        return self.ends(tag)

    def loads(self, name: str, *, size_bytes: int = GIB, **changes: Any) -> "Scene":
        """The load under way is over; `listed` says what the target has then."""
        load = self.state.load
        assert load is not None
        for victim in load.victims:
            self.lists_no_more(str(queue_model(victim)).removesuffix(":latest"))
        before = self._sizes()
        self.lists(name, size_bytes=size_bytes)
        given: dict[str, Any] = {
            "lease": LEASE,
            "queue": queue(name),
            "cost_s": LOAD_S,
            "was_loaded": False,
            "before": before,
            "after": self._sizes(),
        }
        return self.happens(events.Loaded(**(given | changes)))

    def load_fails(self, name: str, error: ForemanError) -> "Scene":
        return self.happens(events.LoadEnded(LEASE, queue(name), error))

    def _sizes(self) -> dict[str, int]:
        return {each: listed.size_bytes for each, listed in (self.listed or {}).items()}

    def lists(self, *names: str, size_bytes: int = GIB, expires_in_s: float = 300.0) -> "Scene":
        """The target has these loaded from now on."""
        self.listed = self.listed or {}
        for name in names:
            self.listed[model(name)] = Listed(model(name), size_bytes, expires_in_s)
        return self

    def lists_no_more(self, name: str) -> "Scene":
        (self.listed or {}).pop(model(name), None)
        return self

    # What the worker does

    def all(self, kind: type[Done]) -> list[Done]:
        """What it did of this kind since the last thing that happened."""
        return [each for each in self.did if isinstance(each, kind)]

    def one(self, kind: type[Done]) -> Done:
        done = self.all(kind)
        assert len(done) == 1, f"{len(done)} of {kind.__name__} in {self.did}"
        return done[0]

    @property
    def wish(self) -> object:
        """What the broker's thread is at."""
        return self.state.pulls.wish

    @property
    def names(self) -> list[str]:
        """The Celery queues that are asked or listened to, in the order of the wish."""
        return list(self.wish.names) if isinstance(self.wish, Ask | Park) else []

    def asks(self, *names: str) -> bool:
        """Whether the broker's thread asks the queues of these models, and no others."""
        return isinstance(self.wish, Ask) and {*self.wish.names} == {queue(each) for each in names}

    def listens_to(self, name: str) -> bool:
        """Whether it is parked there."""
        return isinstance(self.wish, Park) and queue(name) in self.wish.names

    @property
    def residents(self) -> set[str]:
        return {each.model.removesuffix(":latest") for each in self.state.residents.values()}


def ready(
    *names: str, room: Room = ONE, given: Setup | None = None, view: Mapping[str, Any] | None = None
) -> Scene:
    """A worker at rest, whose target has had these models loaded for a while."""
    scene = Scene(given)
    scene.view = dict(view or {})
    scene.lists(*names)
    scene.happens(events.Tick())
    residents = tuple((queue(each), model(each)) for each in names)
    scene.happens(events.Connected(True))
    scene.happens(events.Reached(True))
    scene.happens(events.Leased(LEASE, scene.now, residents, room))
    scene.passes(3)
    assert scene.residents == set(names)
    return scene


def known(*names: str) -> dict[str, Any]:
    """For `view`: the target has these models."""
    return {"models": frozenset(model(each) for each in names)}
