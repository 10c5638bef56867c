"""The network: each link between two parts of foreman is cut, frozen, silent, slow."""

from collections.abc import Callable

from tests.chaos.proxy import Link
from tests.chaos.row import HOLDS, Promise, Row, Sees
from tests.chaos.rows.faults import BROKER, POSTGRES, on_links

PART = "network"
DATABASE_SAYS = "503 with `Retry-After` for new requests; no job is lost, no client is cancelled"
BROKER_SAYS = "`POST /jobs` is answered with 202; streams may end with an error; no job is lost"
SLOW_S = 0.1


def _cut(link: Link) -> None:
    link.cut()


def _end(link: Link) -> None:
    link.cut(reset=False)


def _slow(link: Link) -> None:
    link.delay(SLOW_S)


def _row(
    name: str,
    links: tuple[str, ...],
    does: str,
    do: Callable[[Link], None],
    promise: Promise,
    *,
    holds: float = HOLDS,
    is_short: bool = False,
) -> Row:
    return Row(
        name=name,
        part=PART,
        does=does,
        fault=on_links(*links, do=do),
        promise=promise,
        holds=holds,
        is_short=is_short,
    )


_UNSEEN = Promise(says="nobody notices", sees=Sees.NOTHING, recovers=1)
_SLOWER = Promise(says="everything takes longer, and nothing fails", sees=Sees.WAITS)
_ONCE_DATABASE = Promise(says="requests under way may get 503; no job is lost")
_ONCE_BROKER = Promise(says="streams under way may end with an error; no job is lost", accepts=True)
_SILENT_DATABASE = Promise(says=DATABASE_SAYS, recovers=5, ends=12)
_SILENT_BROKER = Promise(
    says="streams under way may end with an error; new connections are made by themselves",
    recovers=3,
    ends=8,
    accepts=True,
)

_POSTGRES_ROWS = [
    _row("postgres-refused", POSTGRES, "PostgreSQL refuses connections", Link.refuse,
         Promise(says=DATABASE_SAYS, unready="database")),
    _row("postgres-refused-long", POSTGRES, "the same", Link.refuse,
         Promise(says=DATABASE_SAYS, unready="database"), holds=5),
    _row("postgres-cut", POSTGRES, "all connections to PostgreSQL are reset", _cut,
         _ONCE_DATABASE, holds=0, is_short=True),
    _row("postgres-ended", POSTGRES, "all connections to PostgreSQL are closed", _end,
         _ONCE_DATABASE, holds=0),
    _row("postgres-half-closed", POSTGRES, "PostgreSQL's direction of all connections is closed",
         Link.half_close, _ONCE_DATABASE, holds=0),
    _row("postgres-frozen", POSTGRES, "nothing passes to or from PostgreSQL", Link.freeze,
         Promise(says=DATABASE_SAYS, unready="database")),
    _row("postgres-silent", POSTGRES, "open connections to PostgreSQL fall silent for good",
         Link.silence, _SILENT_DATABASE, holds=0),
    _row("postgres-acknowledging", POSTGRES, "PostgreSQL's proxy accepts and reads, and answers"
         " nothing", Link.acknowledge,
         Promise(says=DATABASE_SAYS, unready="database", recovers=5,
                 ends=12), holds=5),
    _row("postgres-slow", POSTGRES, f"PostgreSQL is {2 * SLOW_S:g} s away", _slow, _SLOWER),
    _row("postgres-sliced", POSTGRES, "each byte to and from PostgreSQL comes alone",
         Link.slice, _SLOWER),
    _row("web-postgres-frozen", POSTGRES[:1], "PostgreSQL is frozen for the web processes",
         Link.freeze, Promise(says=DATABASE_SAYS, unready="database")),
    _row("worker-postgres-frozen", POSTGRES[1:2], "PostgreSQL is frozen for the workers",
         Link.freeze, Promise(says="waiting clients wait on; no job is lost", accepts=True)),
    _row("relay-postgres-refused", POSTGRES[2:], "PostgreSQL refuses the relays",
         Link.refuse, Promise(says="only webhooks wait", sees=Sees.NOTHING, accepts=True)),
]  # fmt: skip
_BROKER_ROWS = [
    _row("broker-refused", BROKER, "the broker refuses connections", Link.refuse,
         Promise(says=BROKER_SAYS, unready="broker", accepts=True)),
    _row("broker-cut", BROKER, "all connections to the broker are reset", _cut, _ONCE_BROKER,
         holds=0, is_short=True),
    _row("broker-ended", BROKER, "all connections to the broker are closed", _end, _ONCE_BROKER,
         holds=0),
    _row("broker-half-closed", BROKER, "the broker's direction of all connections is closed",
         Link.half_close, _ONCE_BROKER, holds=0),
    _row("broker-unreachable", BROKER, "nothing passes to or from the broker",
         Link.freeze, Promise(says=BROKER_SAYS, accepts=True), holds=2.5),
    _row("broker-silent", BROKER, "open connections to the broker fall silent for good",
         Link.silence, _SILENT_BROKER, holds=0),
    _row("broker-acknowledging", BROKER, "the broker's proxy accepts and reads, and answers"
         " nothing", Link.acknowledge,
         Promise(says=BROKER_SAYS, unready="broker", recovers=3,
                 ends=8, accepts=True), holds=5),
    _row("broker-slow", BROKER, f"the broker is {2 * SLOW_S:g} s away", _slow, _SLOWER),
    _row("broker-sliced", BROKER, "each byte to and from the broker comes alone",
         Link.slice, _SLOWER),
    _row("web-broker-silent", BROKER[:1], "the web processes' connections to the broker fall"
         " silent for good", Link.silence, _SILENT_BROKER, holds=0),
    _row("worker-broker-silent", BROKER[1:2], "the workers' connections to the broker fall silent"
         " for good", Link.silence, _SILENT_BROKER, holds=0),
    _row("relay-broker-refused", BROKER[2:], "the broker refuses the relays", Link.refuse,
         Promise(says="batches wait, nobody else notices", sees=Sees.NOTHING, accepts=True)),
]  # fmt: skip
_TARGET = ("target1",)
_ELSEWHERE = Promise(
    says="answers that have begun end with an error; everything else is served by the other target",
    ends=8,
    accepts=True,
)
_TARGET_ROWS = [
    _row("target-refused", _TARGET, "one of two targets refuses connections", Link.refuse,
         _ELSEWHERE),
    _row("target-cut", _TARGET, "all connections to one target are reset", _cut, _ELSEWHERE,
         holds=0),
    _row("target-half-closed", _TARGET, "one target's direction of all connections is closed",
         Link.half_close, _ELSEWHERE, holds=0),
    _row("target-frozen", _TARGET, "nothing passes to or from one target", Link.freeze,
         _ELSEWHERE),
    _row("target-silent", _TARGET, "open connections to one target fall silent for good",
         Link.silence, _ELSEWHERE, holds=0),
    _row("target-acknowledging", _TARGET, "one target's proxy accepts and reads, and answers"
         " nothing", Link.acknowledge, _ELSEWHERE, holds=3),
    _row("target-slow", _TARGET, f"one target is {2 * SLOW_S:g} s away", _slow, _SLOWER),
    _row("target-sliced", _TARGET, "each byte to and from one target comes alone",
         Link.slice, _SLOWER),
    _row("targets-away", ("target1", "target2"), "both targets refuse connections",
         Link.refuse, Promise(says="502 or 503, or a longer wait; jobs are tried again",
                              accepts=True, recovers=3, ends=9),
         holds=3.25),
]  # fmt: skip
_RECEIVER = ("receiver",)
_LATE = Promise(
    says="events come late, whole and signed; nobody else notices",
    sees=Sees.NOTHING,
    refused=("good",),
    ends=15,
)
_RECEIVER_ROWS = [
    _row("receiver-refused", _RECEIVER, "the receiver of webhooks refuses connections",
         Link.refuse, _LATE, holds=1.5),
    _row("receiver-cut", _RECEIVER, "all connections to the receiver are reset", _cut, _LATE,
         holds=0),
    _row("receiver-frozen", _RECEIVER, "nothing passes to or from the receiver",
         Link.freeze, _LATE),
    _row("receiver-sliced", _RECEIVER, "each byte to and from the receiver comes alone",
         Link.slice, _UNSEEN),
]  # fmt: skip
LINK_ROWS = [*_POSTGRES_ROWS, *_BROKER_ROWS, *_TARGET_ROWS, *_RECEIVER_ROWS]
