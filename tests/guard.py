"""What the tests start ends with the test run, even when that is interrupted or killed.

A process of its own waits until the test process is gone, and then ends whatever carries the mark
in its environment, no matter which process started it. It reads /proc, so Linux only.
"""

import atexit
import os
import signal
import subprocess
import sys
import time
import uuid
from contextlib import suppress
from pathlib import Path

MARK = "TEST_PROCESS"
GRACE_S = 5.0
LOOK_EVERY_S = 0.05


def start() -> None:
    """Mark what this process starts from now on, and guard it."""
    mark = uuid.uuid4().hex
    guard = subprocess.Popen(
        [sys.executable, "-S", __file__, mark],
        stdin=subprocess.PIPE,  # it ends when we do, by whatever signal
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={name: value for name, value in os.environ.items() if name != MARK},
        start_new_session=True,  # Ctrl-C is not for the guard
    )
    os.environ[MARK] = mark
    atexit.register(guard.communicate)


def end(mark: str) -> None:
    """End what carries the mark: by SIGTERM, and after a while by SIGKILL."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in _marked(mark):
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        give_up_at = time.monotonic() + GRACE_S
        while _marked(mark) and time.monotonic() < give_up_at:
            time.sleep(LOOK_EVERY_S)


def _marked(mark: str) -> list[int]:
    return [int(folder.name) for folder in Path("/proc").glob("[0-9]*") if _carries(folder, mark)]


def _carries(folder: Path, mark: str) -> bool:
    try:
        return f"{MARK}={mark}".encode() in (folder / "environ").read_bytes().split(b"\0")
    except OSError:  # it has ended, or is somebody else's
        return False


if __name__ == "__main__":
    sys.stdin.buffer.read()
    end(sys.argv[1])
