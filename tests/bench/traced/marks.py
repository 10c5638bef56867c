"""Stopwatches: (job id, point, time), kept in memory and written when the process ends.

Times are of CLOCK_MONOTONIC, so those of several processes stand on one line.
"""

import functools
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

FOLDER = "BENCH_MARKS"

_marks: list[tuple[str, str, float]] = []


def mark(job_id: object, point: str, at: float | None = None) -> None:
    """Note that a job passes a point, now unless told otherwise."""
    _marks.append((str(job_id), point, time.monotonic() if at is None else at))


def flush() -> None:
    """Write what was noted."""
    with Path(os.environ[FOLDER], f"{os.getpid()}.jsonl").open("w") as file:
        file.writelines(json.dumps(each) + "\n" for each in _marks)


def read(folder: Path) -> dict[str, dict[str, float]]:
    """Each job's points; of a point that was passed several times, the first time."""
    jobs: dict[str, dict[str, float]] = {}
    for path in folder.glob("*.jsonl"):
        for line in path.read_text().splitlines():
            job_id, point, at = json.loads(line)
            points = jobs.setdefault(job_id, {})
            points[point] = min(at, points.get(point, at))
    return jobs


def around(owner: Any, name: str, before: str, after: str, job_of: Callable[..., object]) -> None:
    """Mark beginning and end of each call of a function or method; "" marks nothing.

    `job_of` gets the result and the arguments, and says which job it was about.
    """
    inner = getattr(owner, name)

    @functools.wraps(inner)
    def timed(*args: Any, **options: Any) -> Any:
        began_at = time.monotonic()
        result = inner(*args, **options)
        ended_at = time.monotonic()
        job_id = job_of(result, *args, **options)
        if before:
            mark(job_id, before, began_at)
        if after:
            mark(job_id, after, ended_at)
        return result

    setattr(owner, name, timed)
