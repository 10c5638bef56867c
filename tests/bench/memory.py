"""Memory of processes while something runs: how much they grow at the most."""

import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import psutil

EVERY_S = 0.5


def family(pid: int) -> list[psutil.Process]:
    """A process and all below it."""
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def unshared_bytes(pid: int) -> int:
    """What a family would free if it ended: pages that it shares with nobody else."""
    total = 0
    for process in family(pid):
        try:
            total += process.memory_full_info().uss
        except psutil.NoSuchProcess:
            continue
    return total


class MemoryWatch:
    """Looks twice a second, between `with` and its end."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        # The servers' shared memory is not a matter of streams.
        self._pids = {name: pid for name, pid in pids.items() if name not in ("PostgreSQL",)}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, name="memory")

    def __enter__(self) -> "MemoryWatch":
        self._before = self._now()
        self._most = dict(self._before)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()

    def growth_bytes(self) -> dict[str, int]:
        return {name: most - self._before[name] for name, most in self._most.items()}

    def _look(self) -> None:
        while not self._ended.wait(EVERY_S):
            for name, size in self._now().items():
                self._most[name] = max(self._most[name], size)

    def _now(self) -> dict[str, int]:
        return {name: unshared_bytes(pid) for name, pid in self._pids.items()}


class PeakWatch:
    """The kernel's own record of how large processes were at the most, between `with` and its end.

    No peak is too short for it. Only on Linux.
    """

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = {name: [each.pid for each in family(pid)] for name, pid in pids.items()}
        self.growth_bytes: dict[str, int] = {}  # after the end

    def __enter__(self) -> "PeakWatch":
        for pids in self._pids.values():
            for pid in pids:
                Path(f"/proc/{pid}/clear_refs").write_text("5")  # the peak begins anew
        self._before = self._sum("VmRSS")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        peak = self._sum("VmHWM")
        self.growth_bytes = {name: peak[name] - self._before[name] for name in peak}

    def _sum(self, field: str) -> dict[str, int]:
        return {
            name: sum(_status_bytes(pid, field) for pid in pids)
            for name, pids in self._pids.items()
        }


def _status_bytes(pid: int, field: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith(f"{field}:"))
    return int(line.split()[1]) * 1024
