"""Foreman's own routes for who runs it: is the process alive, would a request be served."""

from collections.abc import Callable

from flask import Flask, Response, jsonify

from foreman.api import hosts
from foreman.runtime import WebRuntime

# What is read every second may come late on a busy machine.
READS_SILENCE_S = 6.0


class Operations:
    """Health for supervisors and load balancers."""

    def __init__(self, runtime: WebRuntime) -> None:
        self._runtime = runtime

    def install(self, app: Flask) -> None:
        app.add_url_rule("/healthz", "healthz", self.healthz)
        app.add_url_rule("/readyz", "readyz", self.readyz)

    def healthz(self) -> Response:
        """This process answers; nothing else is looked at."""
        return jsonify(status="ok")

    def readyz(self) -> tuple[Response, int]:
        """200 when a request would be served now, else 503; with what is wrong.

        A request whose Host is not foreman's learns only whether it is ready.
        """
        checks: dict[str, Callable[[], str]] = {
            "process": self._process,
            "database": self._database,
            "broker": self._broker,
            "targets": self._targets,
        }
        problems = {name: problem for name, check in checks.items() if (problem := check())}
        code = 503 if problems else 200
        if hosts.is_strange():
            return jsonify(ready=not problems), code
        status = {name: problems.get(name, "ok") for name in checks}
        live = sorted(self._runtime.live_targets)
        loaded = {each.name: each.residents for each in self._runtime.queues.targets}
        residents = {
            name: [each.model or each.queue for each in loaded.get(name, ()) if not each.is_loading]
            for name in live
        }
        shown = {"ready": not problems, "live_targets": live, "residents": residents, **status}
        if away := self._runtime.catalog.troubles(self._runtime.catalog.targets):
            shown["away"] = away
        return jsonify(shown), code

    def _process(self) -> str:
        return "is shutting down" if self._runtime.is_stopping else ""

    def _database(self) -> str:
        """By what is read every second, and written a few times a lease; nobody is asked here."""
        reads, writes = self._runtime.reads, self._runtime.writes
        return reads.problem(READS_SILENCE_S) or writes.problem(self._runtime.settings.lease_s)

    def _broker(self) -> str:
        return self._runtime.inbox.problem

    def _targets(self) -> str:
        if not self._runtime.leased:
            return "no worker drives a target"
        if self._runtime.live_targets:
            return ""
        troubles = self._runtime.catalog.troubles(self._runtime.leased)
        return "no target that a worker drives answers" + (f": {troubles}" if troubles else "")
