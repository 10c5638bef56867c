"""Attackers in a process of their own: `python -m tests.bench.hostile.attack PORT SECONDS SILENT`.

Fifty connections send every kind of hostile request in turns until the time is over, and as many
silent ones as wanted are held open. Prints what the server did with each kind, as JSON.
"""

import json
import resource
import socket
import sys
import threading
import time
from collections import Counter, defaultdict
from contextlib import ExitStack, suppress

from tests.bench.hostile.inputs import Input, inputs, turns

ATTACKERS = 50
SILENT = 2_100
ANSWER_LIMIT_S = 60.0

Seen = dict[str, list[tuple[str, float]]]


def attack(port: int, lasts_s: float, silent: int) -> Seen:
    """Attack until the time is over; for each kind the status of each answer, and its seconds."""
    _allow_sockets(silent + 2 * ATTACKERS + 100)
    seen: Seen = defaultdict(list)
    until = time.monotonic() + lasts_s
    kinds = inputs()
    with ExitStack() as held:
        for _ in range(silent):
            with suppress(OSError):
                held.enter_context(socket.create_connection(("127.0.0.1", port), timeout=5))
        threads = [
            threading.Thread(target=_attack, args=(port, until, kinds, number, seen))
            for number in range(ATTACKERS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return seen


def _attack(port: int, until: float, kinds: list[Input], number: int, seen: Seen) -> None:
    for kind in turns(kinds, number):
        if time.monotonic() > until:
            return
        began = time.monotonic()
        status = _ask(port, kind)
        seen[kind.name].append((status, time.monotonic() - began))


def _ask(port: int, kind: Input) -> str:
    """The status of the answer, or how the connection ended without one."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=ANSWER_LIMIT_S) as connection:
            with suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall(kind.make())
            head = connection.recv(4096)
            status = head[9:12].decode() if head.startswith(b"HTTP/1.") else "closed"
            if kind.size_bytes and status == "200":
                is_whole = _count(connection) >= kind.size_bytes
                return "200 whole" if is_whole else "200 cut"
            return status
    except TimeoutError:
        return "no answer"
    except OSError as exc:
        return type(exc).__name__


def _count(connection: socket.socket) -> int:
    """Read to the end; the head and the framing make it a little more than the body."""
    received = 0
    while piece := connection.recv(256 * 1024):
        received += len(piece)
    return received


def _allow_sockets(count: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(count, 1024), hard), hard))


def main() -> None:
    port, lasts_s, silent = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
    seen = attack(port, lasts_s, silent)
    rows = {
        name: {
            "answers": dict(Counter(status for status, _ in each)),
            "median_s": sorted(seconds for _, seconds in each)[len(each) // 2],
            "longest_s": max(seconds for _, seconds in each),
        }
        for name, each in seen.items()
    }
    json.dump(rows, sys.stdout)


if __name__ == "__main__":
    main()
