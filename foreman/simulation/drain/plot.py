"""A drawing of a comparison: what each target served when, and how long the jobs waited.

matplotlib is no part of a running foreman, so it is looked for when a drawing is asked for.
"""

import importlib
import importlib.util
from collections.abc import Mapping
from itertools import cycle
from pathlib import Path
from typing import Any

from foreman.core.queues import JobClass
from foreman.errors import SettingsError
from foreman.simulation.drain.tally import Tally

# So many visits of a policy, and starts of jobs, are drawn at most.
DRAWN = 20_000
_STYLES = {JobClass.INTERACTIVE: "-", JobClass.BATCH: ":"}


def check_matplotlib() -> None:
    """SettingsError when there is nothing to draw with."""
    if importlib.util.find_spec("matplotlib") is None:
        raise SettingsError("simulate: --plot needs matplotlib: pip install matplotlib")


def draw(tallies: Mapping[str, Tally], path: Path) -> None:
    """Write the drawing of each policy's tally to `path`; its ending says in which format."""
    check_matplotlib()
    importlib.import_module("matplotlib").use("agg")  # no window
    pyplot: Any = importlib.import_module("matplotlib.pyplot")
    lanes = sum(_lanes(tally) for tally in tallies.values())
    figure, (times, waits) = pyplot.subplots(
        2, 1, figsize=(9, 3.6 + 0.35 * lanes), height_ratios=[1 + 0.35 * lanes, 2.6]
    )
    _draw_visits(times, tallies, pyplot)
    _draw_waits(waits, tallies)
    figure.tight_layout()
    try:
        figure.savefig(path, dpi=90)
    except (OSError, ValueError) as exc:
        raise SettingsError(f"simulate: {path} cannot be drawn: {exc}") from exc
    finally:
        pyplot.close(figure)


def _lanes(tally: Tally) -> int:
    return len(_places(tally))


def _places(tally: Tally) -> list[tuple[int, int]]:
    return sorted({(each.target, each.place) for each in tally.visits}) or [(0, 0)]


def _draw_visits(axes: Any, tallies: Mapping[str, Tally], pyplot: Any) -> None:
    queues = sorted({each.queue for tally in tallies.values() for each in tally.visits})
    colours = pyplot.get_cmap("tab10" if len(queues) <= 10 else "tab20").colors
    colour = dict(zip(queues, cycle(colours), strict=False))
    names: list[str] = []
    for policy, tally in tallies.items():
        for target, place in _places(tally):
            visits = [each for each in tally.visits if (each.target, each.place) == (target, place)]
            lane = len(names), 0.8
            swaps = [(each.swap_at, each.began_at - each.swap_at) for each in visits]
            axes.broken_barh(swaps, lane, color="black")
            spans = [(each.began_at, each.ended_at - each.began_at) for each in visits]
            axes.broken_barh(spans, lane, color=[colour[each.queue] for each in visits])
            where = f"{target + 1}.{place + 1}"
            names.append(policy if _lanes(tally) == 1 else f"{policy}, target {where}")
    axes.set_yticks([number + 0.4 for number in range(len(names))], names)
    axes.invert_yaxis()
    axes.set_xlabel("seconds; a colour is a model, black is a swap")
    handles = [axes.barh(0, 0, color=colour[queue], label=queue) for queue in queues]
    axes.legend(handles=handles, loc="upper left", bbox_to_anchor=(1, 1), fontsize="small")


def _draw_waits(axes: Any, tallies: Mapping[str, Tally]) -> None:
    for number, (policy, tally) in enumerate(tallies.items()):
        for job_class, style in _STYLES.items():
            waits = sorted(tally.waits[job_class])
            # A thousand points are more than the drawing can show.
            waits = waits[:: max(1, len(waits) // 1000)]
            shares = [(place + 1) / len(waits) for place in range(len(waits))]
            label = f"{policy}, {job_class.value}"
            axes.plot(waits, shares, style, color=f"C{number}", label=label if waits else None)
    axes.set_xscale("symlog", linthresh=1)
    axes.set_xlim(left=0)
    axes.set_ylabel("share of jobs")
    axes.set_xlabel("seconds waited, or less")
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize="small")
