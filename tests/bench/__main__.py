"""The benchmarks: `python -m tests.bench [--only a,b,c] [--quick] [--repeat N] [--write FILE]`."""

import argparse
from pathlib import Path

from tests.bench import report
from tests.bench.crowd import paced_crowd
from tests.bench.ground import Ground
from tests.bench.latency import added_latency
from tests.bench.throughput import lines_per_second

BENCHMARKS = {"a": added_latency, "b": lines_per_second, "c": paced_crowd}

# What follows it in the page is not overwritten.
APART = "<!-- measured apart -->"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--only", default="a,b,c", help="which of a,b,c")
    parser.add_argument("--quick", action="store_true", help="small loads, one round: does it run?")
    parser.add_argument("--repeat", type=int, help="rounds (default 5; 1 when quick)")
    parser.add_argument("--write", type=Path, help="Markdown file to write")
    parser.add_argument("--json", type=Path, help="file for the raw figures")
    return parser.parse_args()


def _kept(page: Path) -> str:
    """What other commands measured: the page's end, from the mark on."""
    _, mark, rest = page.read_text().partition(APART) if page.exists() else ("", "", "")
    return f"\n{mark}{rest}" if mark else ""


def main() -> None:
    args = _arguments()
    repeat = args.repeat or (1 if args.quick else 5)
    chosen = [BENCHMARKS[name] for name in args.only.split(",")]
    with Ground() as ground:
        sections = [run(ground, repeat=repeat, is_quick=args.quick) for run in chosen]
        facts = report.machine() | ground.versions() | {"rounds": str(repeat)}
    text = report.markdown(sections, facts)
    print(text)
    if args.write:
        args.write.write_text(text + _kept(args.write))
    if args.json:
        args.json.write_text(report.raw_json(sections, facts))


if __name__ == "__main__":
    main()
