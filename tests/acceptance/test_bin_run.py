"""bin/run as its user meets it: from nothing to an answer, and nothing left after Ctrl-C."""

import json
import os
import shlex
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import requests

from foreman.embedded.places import socket_dir
from foreman.embedded.probe import free_port
from foreman.embedded.waiting import wait_until
from foreman.simulation.process import SimulationProcess
from foreman.tree import ROOT

pytestmark = [
    pytest.mark.timeout(240),  # a first start may also install packages
    pytest.mark.alone,
]
NOT_OURS = {"DATABASE_URL", "FOREMAN_BROKER_URL", "CLOUDAMQP_URL", "REDIS_URL", "FOREMAN_TARGETS"}
READY = "foreman is ready at "


class Run:
    """One `bin/run` in a session of its own, as a terminal gives it."""

    def __init__(
        self, data: Path, port: int, *, arguments: Sequence[str] = ("--demo",), **told: str
    ) -> None:
        self.data, self.port = data, port
        self.started_at = time.monotonic()
        self.lines: list[str] = []
        env = {name: value for name, value in os.environ.items() if name not in NOT_OURS}
        env |= {"FOREMAN_DATA_DIR": str(data), "PORT": str(port), "FLOWER_PORT": str(free_port())}
        env |= told
        self.process = subprocess.Popen(
            [ROOT / "bin" / "run", *arguments],
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def read_until(self, start: str) -> str:
        """Return the first line that starts so; what was said before is in `lines`."""
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.append(line)
            if line.strip().startswith(start):
                return line.strip()
        raise AssertionError(f"bin/run ended without {start!r}:\n{''.join(self.lines)}")

    def press_ctrl_c(self) -> None:
        os.killpg(self.process.pid, signal.SIGINT)

    def wait(self) -> int:
        """Return the exit code; the rest of what it said is in `lines`."""
        output, _ = self.process.communicate(timeout=60)
        self.lines += output.splitlines(keepends=True)
        return self.process.returncode

    def processes(self) -> list[str]:
        """Return the processes that have to do with this data directory."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                environ, cmdline = (
                    (folder / "environ").read_bytes(),
                    (folder / "cmdline").read_bytes(),
                )
            except OSError:
                continue
            if os.fsencode(self.data) in environ + cmdline:
                found.append(f"{folder.name} {cmdline!r}")
        return found

    def environments(self) -> list[dict[str, str]]:
        """The environment of each process, with what it is as COMMAND."""
        programs = {"gunicorn": "web", "relay": "relay", "postgres": "postgres", "valkey": "valkey"}
        found = []
        for process in psutil.Process(self.process.pid).children(recursive=True):
            with suppress(psutil.Error):
                line = " ".join(process.cmdline())
                kind = next((kind for word, kind in programs.items() if word in line), "other")
                found.append(process.environ() | {"COMMAND": kind})
        return found

    def is_gone(self) -> bool:
        return wait_until(lambda: not self.processes(), timeout_s=5)


@pytest.fixture
def data() -> Iterator[Path]:
    # Not below pytest's own directory: as root the database's user could not reach that one.
    path = Path(tempfile.mkdtemp(prefix="foreman-run-"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def start(data: Path) -> Iterator[type[Run]]:
    started: list[Run] = []

    class Started(Run):
        def __init__(
            self, data: Path, port: int, *, arguments: Sequence[str] = ("--demo",), **told: str
        ) -> None:
            super().__init__(data, port, arguments=arguments, **told)
            started.append(self)

    yield Started
    for run in started:
        if run.process.poll() is None:
            run.process.terminate()
            run.wait()
        if run.process.stdout:
            run.process.stdout.close()


def answer_to(try_line: str) -> list[dict[str, object]]:
    """Do what the printed curl line does; return the lines of the stream."""
    words = shlex.split(try_line)
    with requests.post(words[-3], data=words[-1], stream=True, timeout=60) as response:
        assert response.status_code == 200, response.text
        return [json.loads(line) for line in response.iter_lines() if line.strip()]


def sourced(data: Path) -> dict[str, str]:
    """What the `env` file of an instance puts into a shell's environment."""
    exports = shlex.split((data / "env").read_text())
    return dict(word.split("=", 1) for word in exports if word != "export")


def test_from_nothing_to_a_streamed_answer_and_ctrl_c_leaves_no_process(
    start: type[Run], data: Path
) -> None:
    first = start(data, free_port())
    assert first.read_until(READY) == f"{READY}http://127.0.0.1:{first.port}"
    lines = answer_to(first.read_until("try "))
    assert len(lines) > 1
    assert lines[-1]["done"] is True
    first.press_ctrl_c()
    assert first.wait() == 0
    assert first.is_gone(), first.processes()

    # From a shell that has read the `env` file for Celery's commands, too.
    told = sourced(data)
    assert set(told) > {"DATABASE_URL", "FOREMAN_BROKER_URL", "FOREMAN_TARGETS"}
    second = start(data, first.port, **told)
    second.read_until(READY)
    assert time.monotonic() - second.started_at < 10
    assert any("starting PostgreSQL and Valkey" in line for line in second.lines)
    second.press_ctrl_c()
    assert second.wait() == 0
    assert second.is_gone(), second.processes()


def test_a_start_makes_a_key_and_opens_the_example_receiver_and_nothing_else(
    start: type[Run], data: Path
) -> None:
    first = start(data, free_port())
    first.read_until(READY)
    key = (data / "secret_key").read_text()

    by_command = {environ["COMMAND"]: environ for environ in first.environments()}

    assert {by_command[name].get("FOREMAN_SECRET_KEY") for name in ("web", "relay")} == {key}
    assert "FOREMAN_SECRET_KEY" not in by_command["postgres"]
    assert "FOREMAN_SECRET_KEY" not in by_command["valkey"]
    allowed = by_command["relay"]["FOREMAN_WEBHOOK_ALLOW"]
    assert allowed == "127.0.0.1:8787,[::1]:8787"
    for name in ("secret_key", "env"):
        assert stat.S_IMODE((data / name).stat().st_mode) == 0o600
    logs = "".join(path.read_text() for path in (data / "logs").glob("*.log"))
    assert "in plain text" not in logs
    assert key not in logs + "".join(first.lines) + (data / "env").read_text()

    first.press_ctrl_c()
    assert first.wait() == 0
    second = start(data, first.port, FOREMAN_WEBHOOK_ALLOW="10.0.0.0/8")
    second.read_until(READY)
    assert (data / "secret_key").read_text() == key
    again = [environ for environ in second.environments() if environ["COMMAND"] == "relay"]
    assert [each["FOREMAN_SECRET_KEY"] for each in again] == [key]
    assert [each["FOREMAN_WEBHOOK_ALLOW"] for each in again] == ["10.0.0.0/8"]


def test_it_starts_before_its_ollama_and_serves_what_waited_once_that_is_up(
    start: type[Run], data: Path
) -> None:
    port = free_port()
    targets = f"gpu=http://127.0.0.1:{port}"
    run = start(data, free_port(), arguments=(), FOREMAN_TARGETS=targets, FOREMAN_LEASE="1")
    run.read_until(READY)
    run.read_until("stop ")
    said = "".join(run.lines)
    assert "No target answers yet, so jobs wait." in said
    assert "FOREMAN_LEASE is no setting of foreman: did you mean FOREMAN_LEASE_S?" in said

    url = f"http://127.0.0.1:{run.port}/jobs"
    request = {"model": "chain-a", "messages": [{"role": "user", "content": "hi"}]}
    job = {"endpoint": "/api/chat", "request": request}
    accepted = requests.post(url, json=job, timeout=30)
    assert accepted.status_code == 202, accepted.text
    with SimulationProcess(port=port):
        place = f"{url}/{accepted.json()['id']}"
        assert wait_until(
            lambda: requests.get(place, timeout=30).json()["state"] == "succeeded", timeout_s=60
        )


def test_a_shell_that_sourced_another_instance_starts_servers_of_its_own(
    start: type[Run], data: Path, tmp_path: Path
) -> None:
    (tmp_path / "env").write_text(
        f"export DATABASE_URL='postgresql://foreman@/foreman?host={socket_dir(tmp_path)}'\n"
        f"export FOREMAN_INSTANCE={tmp_path}\n"
    )
    run = start(data, free_port(), **sourced(tmp_path))
    run.read_until(READY)
    assert any(f"has read the env file of {tmp_path}" in line for line in run.lines)
    assert any("starting PostgreSQL and Valkey" in line for line in run.lines)


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("FOREMAN_LEASE_S", "abc", "must be a number of seconds above 0"),
        ("FOREMAN_TARGETS", "g=http://h:1?slots=abc", "slots: must be a whole number above 0"),
        ("FLOWER_PORT", "x", "must be a port, 1 to 65535"),
        ("FOREMAN_HOST", "no host", "no host: "),
    ],
)
def test_a_wrong_setting_is_reported_before_anything_starts(
    start: type[Run], data: Path, variable: str, value: str, said: str
) -> None:
    run = start(data, free_port(), arguments=(), **{variable: value})
    assert run.wait() == 1
    assert f"foreman up: {variable} is wrong: " in run.lines[-1]
    assert said in run.lines[-1]
    assert not any("starting" in line for line in run.lines)


def test_it_listens_on_loopback_only(start: type[Run], data: Path) -> None:
    run = start(data, free_port())
    run.read_until(READY)
    addresses = [
        connection.laddr
        for connection in psutil.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    ]
    listening = {address.ip for address in addresses if address and address.port == run.port}
    assert listening == {"127.0.0.1"}


def test_a_second_run_on_the_same_data_directory_is_refused_in_words(
    start: type[Run], data: Path
) -> None:
    first = start(data, free_port())
    first.read_until(READY)
    second = start(data, free_port())
    assert second.wait() == 1
    assert f"already runs on {data}" in "".join(second.lines)


def test_a_port_that_is_taken_is_told_in_words_and_leaves_nothing(
    start: type[Run], data: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        run = start(data, taken.getsockname()[1])
        assert run.wait() == 1
    assert f"port {run.port} cannot be used" in "".join(run.lines)
    assert run.is_gone(), run.processes()


@pytest.mark.parametrize("step", ["starting PostgreSQL", "bringing", "starting web"])
def test_ctrl_c_during_the_start_leaves_no_process(start: type[Run], data: Path, step: str) -> None:
    run = start(data, free_port())
    run.read_until(step)
    run.press_ctrl_c()
    assert run.wait() == 0
    assert run.is_gone(), run.processes()


def test_a_start_after_kill_9_works_and_finds_the_servers_stopped(
    start: type[Run], data: Path
) -> None:
    first = start(data, free_port())
    first.read_until(READY)
    first.process.kill()
    first.process.wait()
    second = start(data, first.port)
    second.read_until(READY)
    second.press_ctrl_c()
    assert second.wait() == 0
    assert second.is_gone(), second.processes()
