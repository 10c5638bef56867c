"""Which models are loaded: Ollama's scheduler with its habits, the bad ones too.

1. A request for a loaded model with the same runner options goes straight to it, even while
   others wait for that model to leave.
2. All others wait in one line, strictly in order; the line is served by one greenlet, one load at
   a time, so who waits for an eviction makes everybody behind wait too.
3. The victim is an idle model first, then the one with the shortest keep_alive, then by name.
4. A load belongs to the client that asked for it first: if that one leaves, it is thrown away.
"""

import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import gevent
from gevent.event import Event

from foreman.simulation.ask import FOREVER
from foreman.simulation.config import GIB, SimulationConfig
from foreman.simulation.decode import Refused
from foreman.simulation.eventlog import EventLog
from foreman.simulation.library import Model
from foreman.simulation.runners import Runner

BUSY = "server busy, please try again.  maximum pending requests exceeded"


class _Ticket:
    """One request in the line."""

    def __init__(
        self, model: Model, options: Mapping[str, object], keep_alive_s: float | None
    ) -> None:
        self.model = model
        self.options = options
        self.keep_alive_s = keep_alive_s
        self.ready = Event()
        self.gone = Event()
        self.runner: Runner | None = None
        self.refusal: Refused | None = None


class Scheduler:
    """Loaded models, the line before them, and the greenlet that serves it."""

    def __init__(self, config: SimulationConfig, log: EventLog) -> None:
        self._config = config
        self._log = log
        self._loaded: dict[str, Runner] = {}
        self._line: deque[_Ticket] = deque()
        self._line_grew = Event()
        self._unloaded = Event()
        self.loading: str | None = None
        gevent.spawn(self._serve_line)

    @property
    def runners(self) -> list[Runner]:
        return list(self._loaded.values())

    @property
    def pending(self) -> int:
        """Requests in the line, with the one being served; those whose client left do not count."""
        return sum(not ticket.gone.is_set() for ticket in self._line)

    @contextmanager
    def runner(
        self, model: Model, options: Mapping[str, object], keep_alive_s: float | None
    ) -> Iterator[Runner]:
        """Hold the loaded model; wait for it, or be refused when the line is full."""
        runner = self._loaded.get(model.digest)
        if runner is not None and runner.serves(options):
            runner.users += 1
            self._keep(runner, keep_alive_s)
        else:
            runner = self._wait_in_line(_Ticket(model, options, keep_alive_s))
        try:
            yield runner
        finally:
            self._leave(runner)

    def unload(self, model: Model) -> None:
        """Let a model go as soon as nobody uses it (keep_alive 0 on an empty request)."""
        runner = self._loaded.get(model.digest)
        if runner is not None:
            self._expire(runner, "asked")

    def _wait_in_line(self, ticket: _Ticket) -> Runner:
        if len(self._line) >= self._config.max_queue:
            raise Refused(503, BUSY)
        self._line.append(ticket)
        self._line_grew.set()
        try:
            ticket.ready.wait()
        except BaseException:
            ticket.gone.set()
            if ticket.runner is not None:
                self._leave(ticket.runner)
            raise
        if ticket.refusal is not None:
            raise ticket.refusal
        assert ticket.runner is not None
        return ticket.runner

    def _serve_line(self) -> None:
        while True:
            while not self._line:
                self._line_grew.clear()
                self._line_grew.wait()
            try:
                self._serve(self._line[0])
            finally:
                self._line.popleft()

    def _serve(self, ticket: _Ticket) -> None:
        while not ticket.gone.is_set():
            runner = self._loaded.get(ticket.model.digest)
            if runner is not None and runner.serves(ticket.options):
                return self._hand_over(ticket, runner)
            victim, reason = (runner, "reload") if runner else (self._victim(ticket), "evicted")
            if victim is None:
                return self._load(ticket)
            self._expire(victim, reason)
            # Said once: a keep_alive that comes meanwhile keeps the victim (ollama#17408).
            while self._loaded.get(victim.model.digest) is victim:
                self._unloaded.clear()
                self._unloaded.wait()

    def _victim(self, ticket: _Ticket) -> Runner | None:
        """Who must go before `ticket` can be loaded; None when it fits (or never will)."""
        used = sum(runner.model.size_bytes for runner in self.runners)
        too_many = 0 < self._config.max_loaded <= len(self._loaded)
        fits = used + ticket.model.size_bytes <= self._config.memory_bytes
        if (fits and not too_many) or ticket.model.size_bytes > self._config.memory_bytes:
            return None
        order = sorted(self.runners, key=lambda r: (r.users > 0, r.keep_alive_s, r.model.name.full))
        return order[0] if order else None

    def _load(self, ticket: _Ticket) -> None:
        model = ticket.model
        if model.size_bytes > self._config.memory_bytes:
            ticket.refusal = _too_large(model.size_bytes, self._config.memory_bytes)
            ticket.ready.set()
            return
        runner = Runner(model, ticket.options, self._config.slots)
        facts = {"options": runner.changed_options(), "reason": self._reason(model)}
        seconds = self._config.load_s + self._config.load_s_per_gib * model.size_bytes / GIB
        self.loading = model.label
        is_aborted = ticket.gone.wait(seconds)
        self.loading = None
        event = "load_aborted" if is_aborted else "load"
        self._log.add(event, model.label, seconds=seconds, **facts)
        if not is_aborted:
            self._loaded[model.digest] = runner
            self._hand_over(ticket, runner)

    def _reason(self, model: Model) -> str:
        last = next((e for e in reversed(self._log.events) if e["event"] == "unload"), None)
        was_reload = last and last["model"] == model.label and last["reason"] == "reload"
        return "reload" if was_reload else "needed"

    def _hand_over(self, ticket: _Ticket, runner: Runner) -> None:
        runner.users += 1
        # Before the next in line can ask the model to leave: afterwards it would keep it.
        self._keep(runner, ticket.keep_alive_s)
        ticket.runner = runner
        ticket.ready.set()

    def _keep(self, runner: Runner, keep_alive_s: float | None) -> None:
        """The last request that says how long a model stays has its way."""
        if runner.timer is not None:
            runner.timer.kill(block=False)
            runner.timer = None
        if keep_alive_s is not None:
            runner.keep_alive_s = keep_alive_s
        elif runner.expires_at == 0.0:
            runner.keep_alive_s = self._config.keep_alive_s
        runner.leaves_because = "expired" if runner.keep_alive_s else runner.leaves_because
        runner.expires_at = time.time() + runner.keep_alive_s

    def _leave(self, runner: Runner) -> None:
        runner.users -= 1
        if runner.users or self._loaded.get(runner.model.digest) is not runner:
            return
        runner.expires_at = time.time() + runner.keep_alive_s
        if runner.keep_alive_s == 0:
            self._unload(runner)
        elif runner.keep_alive_s != FOREVER:
            runner.timer = gevent.spawn_later(runner.keep_alive_s, self._expire, runner, "expired")

    def _expire(self, runner: Runner, reason: str) -> None:
        runner.keep_alive_s = 0.0
        runner.leaves_because = reason
        if runner.users == 0:
            self._unload(runner)

    def _unload(self, runner: Runner) -> None:
        timer, runner.timer = runner.timer, None
        if timer is not None and timer is not gevent.getcurrent():
            timer.kill(block=False)
        del self._loaded[runner.model.digest]
        self._log.add("unload", runner.model.label, reason=runner.leaves_because)
        self._unloaded.set()


def _too_large(needed: int, available: int) -> Refused:
    sizes = f"({needed / GIB:.1f} GiB) than is available ({available / GIB:.1f} GiB)"
    return Refused(500, f"model requires more system memory {sizes}")
