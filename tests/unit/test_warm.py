"""A fork that starts warm runs as a process of its own would."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from foreman.embedded.probe import free_port
from tests.stack import Process
from tests.warm import Forked, can_start_warm

ENV = {**os.environ, "PYTHONUNBUFFERED": "1"}
SETTINGS = [sys.executable, "-m", "foreman", "settings"]


def test_a_fork_has_its_own_output_and_exit_status(tmp_path: Path) -> None:
    good = Process("good", SETTINGS, ENV, tmp_path)
    bad = Process("bad", [*SETTINGS, "--nonsense"], ENV, tmp_path)

    assert isinstance(good.process, Forked)
    assert (good.process.wait(60), bad.process.wait(60)) == (0, 2)
    assert "| `DATABASE_URL`" in good.log_text()
    assert "--nonsense" in bad.log_text()


def test_a_fork_has_its_own_environment(tmp_path: Path) -> None:
    env = ENV | {"DATABASE_URL": "nonsense", "FOREMAN_TARGETS": "gpu=http://127.0.0.1:1"}
    relay = Process("relay", [sys.executable, "-m", "foreman", "relay"], env, tmp_path)

    assert relay.process.wait(60) == 1
    assert "DATABASE_URL" in relay.log_text()


def test_a_fork_has_its_own_group_and_can_be_killed(tmp_path: Path) -> None:
    listen = [sys.executable, "-m", "foreman", "webhook-listen", "--port", str(free_port())]
    listener = Process("listener", listen, ENV, tmp_path)

    assert os.getpgid(listener.process.pid) == listener.process.pid
    with pytest.raises(subprocess.TimeoutExpired):
        listener.process.wait(0)
    listener.kill()

    assert listener.process.returncode == -signal.SIGKILL
    assert not listener.is_running


@pytest.mark.parametrize(
    ("arguments", "variables"),
    [
        (["-m", "celery"], {"PYTHONPATH": "/elsewhere"}),
        (["-m", "pytest"], {}),
        (["-c", "pass"], {}),
    ],
)
def test_what_a_fork_could_not_do_is_started(
    arguments: list[str], variables: dict[str, str]
) -> None:
    assert not can_start_warm(arguments, ENV | variables)
    assert can_start_warm(["-m", "celery"], ENV)
