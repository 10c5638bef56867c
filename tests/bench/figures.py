"""Figures and the tables they are told in."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Aim:
    """What was aimed at, and what came out."""

    text: str
    found: str
    is_met: bool


@dataclass(frozen=True)
class Section:
    """One benchmark's answer: a table, how its aims stand, and the figures behind it."""

    title: str
    load: str
    header: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    aims: Sequence[Aim]
    raw: dict[str, object] = field(default_factory=dict)


def percentile(values: Sequence[float], percent: float) -> float:
    """The value below which `percent` of all are, between the two nearest."""
    ordered = sorted(values)
    position = (len(ordered) - 1) * percent / 100
    below = int(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)


def median(values: Sequence[float]) -> float:
    return statistics.median(values)
