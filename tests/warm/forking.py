"""The side of `tests.warm` that forks: one request a line, one answer a line."""

import gc
import json
import os
import runpy
import sys
from typing import Any


def serve() -> None:
    """Fork for each request, or answer how a fork has ended, until there are no more."""
    gc.freeze()  # what no collection looks through is not copied by it
    for line in sys.stdin.buffer:
        request = json.loads(line)
        answer = _fork(request) if "arguments" in request else _ended(request["pid"])
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _fork(request: dict[str, Any]) -> int:
    if pid := os.fork():
        os.setpgid(pid, pid)  # here, so that whoever gets the answer can signal the group
        return pid
    null = os.open(os.devnull, os.O_RDONLY)
    log = os.open(request["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    for source, target in ((null, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    os.environ.clear()
    os.environ.update(request["env"])
    _, module, *arguments = request["arguments"]
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
    sys.exit()


def _ended(pid: int) -> int | None:
    ended, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if ended else None
