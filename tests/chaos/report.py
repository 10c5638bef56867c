"""The results as a table for people, as JSON, and as the pages' Markdown out of several runs."""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from tests.chaos.result import Result
from tests.chaos.row import Row

HEADER = (
    "row", "requests", "done", "error", "refused", "jobs", "ended", "webhooks", "again",
    "recovery", "usual", "load", "verdict",
)  # fmt: skip


def line(result: Result) -> str:
    """One line of the table, for the terminal."""
    return (
        f"{result.row:<28}"
        + "".join(f"{each:>9}" for each in _cells(result)[1:-1])
        + ("  ok" if result.is_ok else "  VIOLATED")
    )


def heading() -> str:
    return f"{HEADER[0]:<28}" + "".join(f"{each:>9}" for each in HEADER[1:-1]) + "  verdict"


def explained(result: Result) -> str:
    """What was violated, a line each."""
    return "\n".join(f"    {each['rule']}: {each['detail']}" for each in result.violations)


def write_json(path: Path, results: Sequence[Result]) -> None:
    path.write_text(json.dumps([asdict(each) for each in results], indent=1) + "\n")


def read_json(paths: Iterable[Path]) -> list[Result]:
    return [Result(**each) for path in paths for each in json.loads(path.read_text())]


def promises(rows: Sequence[Row]) -> str:
    """The table of what is promised."""
    names = ("row", "the fault", "lasts, leases", "promised", "answers again", "jobs end")
    lines = [f"| {' | '.join(names)} |", "|---" * len(names) + "|"]
    for row in rows:
        promise = row.promise
        also = f" + {promise.also_s:.0f} s" if promise.also_s else ""
        lines.append(
            f"| `{row.name}` | {row.does} | {_lasts(row)} | {promise.says}"
            f" | {promise.recovers:g} leases | {promise.ends:g} leases{also} |"
        )
    return "\n".join(lines)


def observed(rows: Sequence[Row], results: Sequence[Result]) -> str:
    """The table of what was seen: one line for each row and broker, the seeds together."""
    order = {row.name: number for number, row in enumerate(rows)}
    groups: dict[tuple[str, str], list[Result]] = defaultdict(list)
    for each in results:
        groups[each.row, each.broker].append(each)
    lines = [
        "| row | broker | runs | requests | done | ended with an error | refused | jobs | ended |"
        " webhooks | recovery, s | verdict |",
        "|---" * 12 + "|",
    ]
    for (row, broker), runs in sorted(groups.items(), key=lambda item: order[item[0][0]]):
        sums = [
            sum(getattr(each, name) for each in runs)
            for name in ("requests", "done", "errors", "refused", "jobs", "ended", "webhooks")
        ]
        shown = " | ".join(str(each) for each in sums)
        lines.append(
            f"| `{row}` | {broker} | {len(runs)} | {shown} | {_recovery(runs)} | {_verdict(runs)} |"
        )
    return "\n".join(lines)


def seen(results: Sequence[Result]) -> str:
    """What clients saw in the rows that keep it, by the phase in which they asked."""
    lines = ["| row | broker | seed | asked | what they saw |", "|---" * 5 + "|"]
    for each in results:
        for phase, counts in each.seen.items() if each.clients else ():
            shown = "; ".join(f"{count} {outcome}" for outcome, count in counts.items())
            asked = {"before": "before", "fault": "in the fault", "after": "after it"}[phase]
            lines.append(f"| `{each.row}` | {each.broker} | {each.seed} | {asked} | {shown} |")
    return "\n".join(lines)


def write_page(page: Path, rows: Sequence[Row], results: Sequence[Result]) -> None:
    """Put both tables where the page's marks are."""
    text = page.read_text()
    tables = {
        "promised": promises(rows),
        "observed": observed(rows, results),
        "seen": seen(results),
    }
    for name, table in tables.items():
        before, begin, rest = text.partition(f"<!-- {name}: begin -->\n")
        _, end, after = rest.partition(f"<!-- {name}: end -->")
        text = f"{before}{begin}{table}\n{end}{after}"
    page.write_text(text)


def _lasts(row: Row) -> str:
    return f"{row.holds:g}" if row.holds else "once"


def _cells(result: Result) -> tuple[str, ...]:
    recovery = "never" if result.recovery_s is None else f"{result.recovery_s:.1f}"
    numbers = (
        result.requests, result.done, result.errors, result.refused,
        result.jobs, result.ended, result.webhooks, result.again,
    )  # fmt: skip
    machine = (f"{result.usual_s:.1f}", f"{result.load_average:.0f}")
    verdict = "ok" if result.is_ok else "violated"
    return (result.row, *map(str, numbers), recovery, *machine, verdict)


def _recovery(runs: Sequence[Result]) -> str:
    if any(each.recovery_s is None for each in runs):
        return "never"
    found = [each.recovery_s or 0.0 for each in runs]
    return f"{min(found):.1f} to {max(found):.1f}" if len(found) > 1 else f"{found[0]:.1f}"


def _verdict(runs: Sequence[Result]) -> str:
    rules = sorted({each["rule"] for run in runs for each in run.violations})
    bad = sum(not run.is_ok for run in runs)
    return f"**violated in {bad}**: {', '.join(rules)}" if rules else "kept"
