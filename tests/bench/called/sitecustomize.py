"""Write down, for each file of foreman, when its functions were called (CLOCK_MONOTONIC).

Loaded by Python itself at its start, where this folder is on PYTHONPATH: before gevent patches and
before foreman is imported. A call of a file within a millisecond of its last one is not noted.
"""

import _thread
import json
import os
import sys
import threading
import time
from types import FrameType
from typing import Any

from folder import FOLDER, WRITE_EVERY_S  # type: ignore[import-not-found]  # of this very folder

_OURS = ("/foreman/", "/celery_app/")
_called: dict[str, list[float]] = {}
_names: dict[str, str] = {}
# Those of the system, also where gevent patches.
_now, _sleep, _start = time.monotonic, time.sleep, _thread.start_new_thread


def _name(path: str) -> str:
    """The file's name from the product's folder on; "" for a file of others."""
    known = _names.get(path)
    if known is None:
        starts = [path.rfind(each) for each in _OURS]
        is_library = "site-packages" in path or "/foreman/simulation/" in path or max(starts) < 0
        known = _names[path] = "" if is_library else path[max(starts) + 1 :]
    return known


def _note(frame: FrameType, event: str, _: Any) -> None:
    if event != "call":
        return
    name = _name(frame.f_code.co_filename)
    if not name:
        return
    times = _called.setdefault(name, [])
    now = _now()
    if not times or now - times[-1] > 0.001:
        times.append(now)


def _write() -> None:
    """Again and again, for as long as the process lives: how it ends is its own affair."""
    path = os.path.join(os.environ[FOLDER], f"{os.getpid()}.json")
    while True:
        _sleep(WRITE_EVERY_S)
        with open(path + ".new", "w") as file:
            json.dump({name: list(times) for name, times in list(_called.items())}, file)
        os.replace(path + ".new", path)


_start(_write, ())
os.register_at_fork(after_in_child=lambda: _start(_write, ()))
threading.setprofile(_note)
sys.setprofile(_note)
