"""Child processes: kept running, and stopped without a remainder."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from foreman.embedded import leftovers
from foreman.embedded.processes import Command, Process, log_end, rotate, run_once, stop
from foreman.embedded.supervisor import Supervisor
from foreman.embedded.waiting import StartFailed, Stopped, StopRequest, wait_until

MakeCommand = Callable[..., Command]


@pytest.fixture
def command(tmp_path: Path) -> MakeCommand:
    def make(script: str, name: str = "child", **environ: str) -> Command:
        env = {"PATH": os.environ["PATH"], **environ}
        argv = ("/bin/sh", "-c", script)
        return Command(name=name, argv=argv, env=env, log=tmp_path / f"{name}.log")

    return make


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def supervisor(said: list[str]) -> Iterator[Supervisor]:
    supervisor = Supervisor(said.append)
    yield supervisor
    supervisor.stop(lambda: True)


def is_alive(pid: int) -> bool:
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def first_line(path: Path) -> str:
    assert wait_until(lambda: path.exists() and "\n" in path.read_text(), timeout_s=20)
    return path.read_text().splitlines()[0]


def test_a_stop_ends_a_process_that_does_not_want_to(command: MakeCommand) -> None:
    process = Process(command("trap '' TERM; echo up; while :; do sleep 0.1; done"))
    first_line(process.command.log)
    stop([process], grace_s=0.1)
    assert process.exit_code == -signal.SIGKILL


def test_a_stop_leaves_no_grandchild(command: MakeCommand) -> None:
    process = Process(command("sleep 1000 & echo $!; wait"))
    grandchild = int(first_line(process.command.log))
    stop([process], grace_s=5)
    assert wait_until(lambda: not is_alive(grandchild), timeout_s=5)


@pytest.mark.skipif(sys.platform != "linux", reason="the parent-death signal is Linux's")
def test_a_child_ends_with_a_parent_that_is_killed(tmp_path: Path, command: MakeCommand) -> None:
    script = (
        "import pathlib, time; from foreman.embedded.processes import Command, Process\n"
        f"log = pathlib.Path({str(tmp_path / 'inner.log')!r})\n"
        "argv = ('/bin/sh', '-c', 'echo $$; exec sleep 1000')\n"
        "Process(Command(name='inner', argv=argv, env={}, log=log)); time.sleep(1000)"
    )
    outer = Process(command(f'exec {sys.executable} -c "$SCRIPT"', SCRIPT=script))
    inner = int(first_line(tmp_path / "inner.log"))
    os.kill(outer.pid, signal.SIGKILL)
    assert wait_until(lambda: not is_alive(inner), timeout_s=5)
    outer.kill_group()


def test_a_program_that_is_not_there_is_told_plainly(command: MakeCommand, tmp_path: Path) -> None:
    missing = Command(name="web", argv=("/no/such",), env={}, log=tmp_path / "web.log")
    with pytest.raises(StartFailed, match="web cannot be started"):
        Process(missing)


def test_a_step_that_fails_shows_the_end_of_its_log(command: MakeCommand) -> None:
    with pytest.raises(StartFailed, match=r"release failed\n(.*\n)*.*no such table"):
        run_once(command("echo no such table; exit 1", name="release"), timeout_s=5)


def test_a_step_that_takes_too_long_is_ended(command: MakeCommand) -> None:
    with pytest.raises(StartFailed, match=r"took more than 0.1 s"):
        run_once(command("sleep 1000"), timeout_s=0.1)


def test_a_step_is_ended_when_the_user_says_stop(command: MakeCommand) -> None:
    request = StopRequest()
    request.count = 1
    with pytest.raises(Stopped):
        run_once(command("sleep 1000"), timeout_s=60, check=request.check)


@pytest.mark.alone
def test_a_killed_process_is_started_again_within_a_second(
    command: MakeCommand, supervisor: Supervisor, said: list[str], tmp_path: Path
) -> None:
    supervisor.start_stage([command("echo $$; exec sleep 1000", name="worker1")])
    log = tmp_path / "worker1.log"
    os.kill(int(first_line(log)), signal.SIGKILL)
    killed_at = time.monotonic()

    def is_back() -> bool:
        supervisor.tick()
        return log.read_text().count("\n") == 2

    assert wait_until(is_back, timeout_s=5)
    assert time.monotonic() - killed_at < 1
    assert "worker1 ended (signal 9)" in said[0]


def test_a_process_that_does_not_stay_up_ends_the_start_with_its_log(
    command: MakeCommand, supervisor: Supervisor
) -> None:
    supervisor.start_stage([command("echo cannot bind; exit 3", name="web")])

    def is_told() -> bool:
        supervisor.tick()
        supervisor.raise_for_failing()
        return False

    with pytest.raises(StartFailed, match=r"web does not stay up: exit code 3\n(.*\n)*.*cannot bi"):
        wait_until(is_told, timeout_s=10)


def test_stages_are_stopped_last_first(
    command: MakeCommand, supervisor: Supervisor, tmp_path: Path
) -> None:
    order = tmp_path / "order"
    script = "trap 'echo {0} >>{1}; exit' TERM; echo up; while :; do sleep 0.01; done"
    for name in ("database", "web"):
        supervisor.start_stage([command(script.format(name, order), name=name)])
        first_line(tmp_path / f"{name}.log")
    supervisor.stop(lambda: False)
    assert order.read_text().split() == ["web", "database"]


@pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc")
def test_what_an_earlier_start_left_is_found_by_its_mark_and_stopped(
    command: MakeCommand, tmp_path: Path
) -> None:
    ours = Process(command("exec sleep 1000", **{leftovers.MARK: str(tmp_path)}))
    other = Process(command("exec sleep 1000", **{leftovers.MARK: f"{tmp_path}2"}))
    assert wait_until(lambda: leftovers.find(tmp_path) == {ours.pid: "sleep"}, timeout_s=5)

    def collect() -> None:
        """Let the ended child go; in truth its parent is gone and init does it."""
        _ = ours.exit_code

    assert leftovers.stop(tmp_path, check=collect) == 1
    assert leftovers.find(tmp_path) == {}
    assert other.exit_code is None
    stop([ours, other], grace_s=5)


def test_a_long_log_is_moved_aside_while_its_writer_goes_on(tmp_path: Path) -> None:
    log = tmp_path / "web.log"
    with log.open("ab", buffering=0) as writer:
        writer.write(b"old\n" * 10)
        rotate(log, limit_bytes=20)
        writer.write(b"new\n")
    assert log.read_text() == "new\n"
    assert (tmp_path / "web.log.1").read_text() == "old\n" * 10


def test_the_end_of_a_log_is_shown_under_its_name(tmp_path: Path) -> None:
    log = tmp_path / "web.log"
    assert "(empty)" in log_end(log)
    log.write_text("".join(f"line {number}\n" for number in range(100)))
    assert log_end(log, lines=2) == f"the end of {log}:\n    line 98\n    line 99"


def test_a_second_signal_makes_a_stop_urgent() -> None:
    before = {name: signal.getsignal(name) for name in (signal.SIGINT, signal.SIGTERM)}
    before[signal.SIGHUP] = signal.getsignal(signal.SIGHUP)
    request = StopRequest()
    request.install()
    try:
        request.check()
        os.kill(os.getpid(), signal.SIGTERM)
        assert wait_until(lambda: request.count == 1, timeout_s=5)
        assert not request.is_urgent()
        os.kill(os.getpid(), signal.SIGINT)
        assert wait_until(request.is_urgent, timeout_s=5)
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
