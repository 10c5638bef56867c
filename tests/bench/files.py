"""Through how many of foreman's files one streamed chat passes: `python -m tests.bench.files`.

All processes note which files they call and when (`called`). A file counts when it is called
during at least nine of ten requests, each alone on a foreman at rest: what a periodic task calls by
chance does not.
"""

import argparse
import json
import os
import tempfile
import time
import urllib.request
from bisect import bisect_left
from collections.abc import Mapping
from pathlib import Path

from tests.bench.called.folder import FOLDER, WRITE_EVERY_S
from tests.bench.ground import MODEL, RABBITMQ, REDIS, Ground

SHARE = 0.9
PAUSE_S = 0.7  # between two requests; another number of times than any duty's period
CALLED = Path(__file__).parent / "called"

Window = tuple[float, float]


def _asked(url: str) -> Window:
    """Ask for one streamed chat, and read it to its end."""
    wish = {"model": MODEL, "messages": [{"role": "user", "content": "hi"}]}
    request = urllib.request.Request(f"{url}/api/chat", json.dumps(wish).encode())
    began_at = time.monotonic()
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert b'"done":true' in answer.read()
    return began_at, time.monotonic()


def _called_in(times: list[float], window: Window) -> bool:
    at = bisect_left(times, window[0])
    return at < len(times) and times[at] <= window[1]


def _passed(folder: Path, windows: list[Window]) -> Mapping[str, float]:
    """Each file's share of the requests during which it was called, in any process."""
    called: dict[str, set[int]] = {}
    for path in folder.glob("*.json"):
        for name, times in json.loads(path.read_text()).items():
            during = {n for n, window in enumerate(windows) if _called_in(times, window)}
            called.setdefault(name, set()).update(during)
    return {name: len(during) / len(windows) for name, during in called.items()}


def _measure(ground: Ground, way: str, requests: int) -> Mapping[str, float]:
    with tempfile.TemporaryDirectory(prefix="foreman-called-") as folder:
        os.environ |= {FOLDER: folder, "PYTHONPATH": str(CALLED)}
        with ground.scene((way,), slots=4, tokens=20, tokens_per_s=400.0) as scene:
            url = scene.ways[way].url
            for _ in range(5):
                _asked(url)
            windows = []
            for _ in range(requests):
                time.sleep(PAUSE_S)
                windows.append(_asked(url))
            time.sleep(4 * WRITE_EVERY_S)
            return _passed(Path(folder), windows)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.files", description=__doc__)
    parser.add_argument("--requests", type=int, default=20)
    parser.add_argument("--names", action="store_true", help="print the files, too")
    args = parser.parse_args()
    with Ground() as ground:
        for way in (REDIS, RABBITMQ):
            shares = _measure(ground, way, args.requests)
            passed = sorted(name for name, share in shares.items() if share >= SHARE)
            print(f"{way}: a streamed chat passes through {len(passed)} files")
            if args.names:
                print("\n".join(f"  {name}" for name in passed))


if __name__ == "__main__":
    main()
