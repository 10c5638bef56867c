"""Recorded arrivals from a CSV file: `time,model,class,seconds`."""

import csv
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from foreman.core.arrivals import Arrival
from foreman.core.queues import JobClass
from foreman.errors import SettingsError

COLUMNS = "time", "model", "class", "seconds"


def read_csv(path: Path) -> list[Arrival]:
    """The file's jobs in order of time; SettingsError names the line that is wrong.

    A time is a number of seconds or an ISO 8601 date. A first line of the columns' names may be
    there. An empty class is interactive. The model's text stands for the whole residency.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            arrivals = list(_arrivals(path, file))
    except (OSError, UnicodeDecodeError) as exc:
        raise SettingsError(f"simulate: {path} cannot be read: {exc}") from exc
    return sorted(arrivals, key=lambda each: each.at)


def _arrivals(path: Path, lines: Iterator[str]) -> Iterator[Arrival]:
    for number, row in enumerate(csv.reader(lines), start=1):
        cells = [cell.strip() for cell in row]
        if not any(cells) or (number == 1 and tuple(cells) == COLUMNS):
            continue
        try:
            at, model, job_class, seconds = cells
            yield _arrival(at, model, job_class, seconds)
        except ValueError as exc:
            what = f"{path}, line {number}: {exc}"
            raise SettingsError(f"simulate: {what}; expected {','.join(COLUMNS)}") from exc


def _arrival(at: str, model: str, job_class: str, seconds: str) -> Arrival:
    run_s = float(seconds)
    # Not-a-number is less than nothing and more than nothing: both are asked.
    if not model or not 0 <= run_s < float("inf"):
        raise ValueError("a job has a model and takes 0 s or more")
    return Arrival(_time(at), model, JobClass(job_class or JobClass.INTERACTIVE), run_s)


def _time(text: str) -> float:
    try:
        at = float(text)
    except ValueError:
        return datetime.fromisoformat(text).timestamp()
    if not abs(at) < float("inf"):
        raise ValueError("a time is a finite number of seconds")
    return at
