"""The picture: what was loaded when, the ways one below the other, and how long jobs waited."""

from collections.abc import Sequence
from pathlib import Path

from foreman.core.queues import JobClass
from foreman.scheduling.values import VisitRules
from foreman.simulation.drain import plot
from foreman.simulation.drain.tally import Promises, Tally
from tests.bench.drain.observed import Observed


def draw(runs: Sequence[Observed], path: Path) -> None:
    """Draw runs as `foreman simulate --plot` draws policies."""
    plot.draw({run.name: _tally(run) for run in runs}, path)


def _tally(run: Observed) -> Tally:
    tally = Tally(Promises(VisitRules(), {}, places=1))
    tally.visits += run.visits
    tally.waits[JobClass.INTERACTIVE].extend(run.waits_s.values())
    return tally
