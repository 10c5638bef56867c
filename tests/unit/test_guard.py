"""An interrupted or killed test run leaves no process."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.stack import ROOT, wait_for

# Starts something in a session of its own that starts something itself, and waits.
RUN = """
import signal, subprocess, sys, time
from tests import guard

signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background it may be ignored
guard.start()
command = ["sh", "-c", "sleep 600 & echo $!; wait"]
started = subprocess.Popen(command, start_new_session=True, stdout=subprocess.PIPE, text=True)
sys.stdout.write(f"{started.pid} {started.stdout.readline()}")
sys.stdout.flush()
time.sleep(600)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the guard reads /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_what_a_test_run_has_started_ends_with_it(number: signal.Signals) -> None:
    run = subprocess.Popen(
        [sys.executable, "-c", RUN],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert run.stdout is not None
    pids = [int(word) for word in run.stdout.readline().split()]
    assert len(pids) == 2
    assert all(_is_running(pid) for pid in pids)

    run.send_signal(number)
    run.wait(30)
    run.stdout.close()

    wait_for(lambda: not any(_is_running(pid) for pid in pids), 30, "all have ended")


def _is_running(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
