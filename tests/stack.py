"""A whole foreman for tests: web, workers and relay as processes, over given servers.

The processes are those of the Procfile; what may be killed, stopped or started alone has a method.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, TypeVar

from foreman.embedded.probe import free_port, get
from tests.rows import Rows
from tests.warm import Forked, can_start_warm, start_warm

ROOT = Path(__file__).parent.parent
READY_LIMIT_S = 120.0  # of a busy machine
STOP_LIMIT_S = 35.0
# Between two looks: soon at first, then seldom enough to leave the machine to what is waited for.
LOOK_AFTER_S, LOOK_EVERY_S = 0.005, 0.05

T = TypeVar("T")


def wait_for(condition: Callable[[], T], limit_s: float = 10.0, what: str = "") -> T:
    """Call `condition` until it gives something true; AssertionError when it never does."""
    give_up_at = time.monotonic() + limit_s
    pause_s = LOOK_AFTER_S
    while not (result := condition()):
        if time.monotonic() > give_up_at:
            raise AssertionError(f"not within {limit_s:g} s: {what or condition}")
        time.sleep(pause_s)
        pause_s = min(1.5 * pause_s, LOOK_EVERY_S)
    return result


class Process:
    """One process of the stack, in a process group of its own, its output in a file."""

    def __init__(
        self,
        name: str,
        command: list[str],
        env: dict[str, str],
        logs: Path,
        *,
        may_be_warm: bool = True,
    ) -> None:
        self.name = name
        self._command = command
        self._env = env
        self._is_warm = may_be_warm and can_start_warm(command[1:], env)
        self.log_path = logs / f"{name}.log"
        self.process: subprocess.Popen[bytes] | Forked
        self.start()

    def start(self) -> None:
        self.log_path.touch()
        if self._is_warm:
            self.process = start_warm(self._command[1:], self._env, self.log_path)
            return
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                self._command, cwd=ROOT, env=self._env, stdout=log, stderr=log, process_group=0
            )

    @property
    def is_running(self) -> bool:
        return self.process.poll() is None

    def signal(self, number: int) -> None:
        """Send a signal to the process and its children."""
        if self.is_running:
            os.killpg(self.process.pid, number)

    def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        self.signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        """SIGTERM to the main process, as a supervisor does; by force when it does not end."""
        if self.is_running:
            self.process.terminate()
        try:
            self.process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} did not stop within {STOP_LIMIT_S:g} s") from None

    def log_text(self) -> str:
        return self.log_path.read_text()


class Stack:
    """A running foreman. `targets` is FOREMAN_TARGETS; `settings` are further variables."""

    _running: ClassVar[list["Stack"]] = []

    def __init__(
        self,
        *,
        database_url: str,
        broker_url: str,
        targets: str,
        workers: int = 1,
        web: int = 1,
        settings: dict[str, str] | None = None,
        is_migrated: bool = True,
        may_be_warm: bool = True,
    ) -> None:
        self.database_url = database_url
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.env = {name: value for name, value in os.environ.items() if "FOREMAN" not in name} | {
            "DATABASE_URL": database_url,
            "FOREMAN_BROKER_URL": broker_url,
            "FOREMAN_TARGETS": targets,
            "FOREMAN_LEASE_S": "3",
            "PORT": str(self.port),
            "WEB_CONCURRENCY": str(web),
            "PYTHONUNBUFFERED": "1",
            **(settings or {}),
        }
        self._workers = workers
        self._is_migrated = is_migrated
        self._may_be_warm = may_be_warm  # False: each process is listed with its own arguments
        self._rows = Rows(database_url)
        self._logs = tempfile.TemporaryDirectory(prefix="foreman-stack-")
        self.processes: dict[str, Process] = {}

    def __enter__(self) -> "Stack":
        try:
            if not self._is_migrated:
                self.run("-m", "foreman", "migrate")
            self.start("web", "-m", "gunicorn", "-c", "python:foreman.serving", "foreman.wsgi:app")
            for number in range(1, self._workers + 1):
                self.start_worker(f"worker{number}")
            self.start("relay", "-m", "foreman", "relay")
            wait_for(self.is_ready, READY_LIMIT_S, "the stack is ready")
        except BaseException as error:
            error.add_note(self.log_text())
            self.__exit__(None, None, None)
            raise
        self._running.append(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self in self._running:
            self._running.remove(self)
        self._rows.close()
        for process in self.processes.values():
            if process.is_running:
                process.process.terminate()
        try:
            for process in self.processes.values():
                process.stop()
        finally:
            self._logs.cleanup()

    def start(self, name: str, *arguments: str) -> Process:
        """Start a process of this Python with the stack's environment."""
        process = Process(
            name,
            [sys.executable, *arguments],
            self.env,
            Path(self._logs.name),
            may_be_warm=self._may_be_warm,
        )
        self.processes[name] = process
        return process

    def start_worker(self, name: str) -> Process:
        options = ["-P", "threads", "-E", "--without-gossip", "--without-mingle"]
        return self.start(
            name, "-m", "celery", "-A", "celery_app", "worker", "-n", f"{name}@test", *options
        )

    def run(self, *arguments: str) -> str:
        """Run a command of this Python to its end; returns what it printed."""
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def wait_for_targets(self, count: int) -> None:
        """Wait until so many targets have a worker that drives them."""

        def live() -> list[str]:
            targets: list[str] = json.loads(self.get("/readyz").body)["live_targets"]
            return targets

        wait_for(lambda: len(live()) == count, READY_LIMIT_S, f"{count} live targets")

    def rows(self, query: str, *parameters: Any) -> list[dict[str, Any]]:
        """What Postgres says."""
        return self._rows.of(query, parameters)

    def job(self, job_id: str) -> dict[str, Any]:
        return self.rows("SELECT * FROM jobs WHERE id = %s", job_id)[0]

    def jobs(self) -> list[dict[str, Any]]:
        """All jobs, oldest first."""
        return self.rows("SELECT * FROM jobs ORDER BY created_at, id")

    def get(self, path: str) -> "Answer":
        return self._ask(urllib.request.Request(self.url + path), 30)

    def post(
        self,
        path: str,
        body: Any,
        timeout_s: float = 30,
        headers: dict[str, str] | None = None,
    ) -> "Answer":
        """A whole request; HTTP errors are answers, too."""
        given = body if isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(
            self.url + path, data=given, method="POST", headers=headers or {}
        )
        return self._ask(request, timeout_s)

    def _ask(self, request: urllib.request.Request, timeout_s: float) -> "Answer":
        try:
            with urllib.request.urlopen(request, timeout=timeout_s) as answer:
                return Answer(answer.status, dict(answer.headers), answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, dict(error.headers), error.read())

    def log_of(self, name: str) -> list[str]:
        """The lines that one process wrote."""
        return self.processes[name].log_text().splitlines()

    def log_text(self) -> str:
        """The end of what each process wrote."""
        logs = (f"---- {each.name}\n{each.log_text()[-4000:]}" for each in self.processes.values())
        return "\n".join(logs)

    @classmethod
    def running(cls) -> list["Stack"]:
        return list(cls._running)


class WebAlone(Stack):
    """A foreman that accepts jobs and runs none: start it with `workers=0`."""

    def is_ready(self) -> bool:
        return get(f"{self.url}/healthz") is not None


class Answer:
    """A whole answer: status, headers, body."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The body as NDJSON."""
        return [json.loads(line) for line in self.body.splitlines()]

    @property
    def text(self) -> str:
        """The words of a chat or generate answer."""
        return "".join(
            line.get("response", "") or line.get("message", {}).get("content", "")
            for line in self.lines
        )
