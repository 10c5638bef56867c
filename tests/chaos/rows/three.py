"""A hung target, silent connections to the broker and a read-only database, under 50 streams."""

from tests.chaos.load import Shape
from tests.chaos.proxy import Link
from tests.chaos.row import Fault, Promise, Row
from tests.chaos.rows.database import read_only
from tests.chaos.rows.faults import BROKER, on_links, on_target, together

PART = "three"
STREAMS = Shape(chats=30, events=20, words=(10, 25))
_HUNG = on_target("wedge")
_SILENT = on_links(*BROKER, do=Link.silence)


def _row(name: str, does: str, fault: Fault, says: str) -> Row:
    promise = Promise(says=says, recovers=5, ends=12)
    return Row(
        name=name,
        part=PART,
        does=does,
        fault=fault,
        promise=promise,
        holds=3,
        shape=STREAMS,
        keeps_clients=True,
    )


THREE_ROWS = [
    _row("three-together", "one target hangs, the broker's connections are silent and PostgreSQL is"
         " read-only, under 50 streams", together(_HUNG, _SILENT, read_only),
         "503 with `Retry-After`, or an error; no silent end, no job lost"),
    _row("three-hung-target", "one target hangs, under 50 streams", _HUNG,
         "the other target serves all"),
    _row("three-silent-broker", "the broker's connections fall silent, under 50 streams", _SILENT,
         "streams under way may end with an error; new ones are served"),
    _row("three-read-only", "PostgreSQL is read-only, under 50 streams", read_only,
         "503 with `Retry-After`"),
]  # fmt: skip
