"""What is told of a target: residents, loads, room, costs; by nobody who has lost its lease."""

from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

import pytest
from sqlalchemy import Connection

from foreman.core.lease import Lease
from foreman.core.outlook import Cost
from foreman.core.residents import LoadRow, ResidentRow
from foreman.parsing import TargetSpec
from foreman.scheduling.room import Clash, Room
from foreman.store import residents, targets
from foreman.store.kept import note_uses
from foreman.store.outlook import Outlook, read_outlook
from tests.integration.store.ground import Store

P = ParamSpec("P")
R = TypeVar("R")
A, B, C = "model.a%3Alatest", "model.b%3Alatest", "model.c%3Alatest"


def do(
    store: Store, verb: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs
) -> R:
    with store.database.transaction() as connection:
        return verb(connection, *args, **kwargs)


def spec(name: str = "gpu", *, host: str = "gpu", **room: Any) -> TargetSpec:
    return TargetSpec(name=name, url=f"http://{host}:11434", slots=1, **room)


def tell(store: Store, lease: Lease, *queues: str, **options: bool) -> None:
    rows = [
        ResidentRow(queue, f"{queue} model", 5, options.get("pinned", False)) for queue in queues
    ]
    do(store, residents.tell_residents, lease, rows)


def loading(store: Store, lease: Lease, queue: str | None) -> None:
    do(store, residents.tell_loading, lease, queue, reason="it waits")


def rows(store: Store, target: str = "gpu") -> dict[str, dict[str, Any]]:
    found = store.sql("SELECT * FROM residents WHERE target = :target", target=target)
    return {row["queue"]: row for row in found}


def load(queue: str, *, cost_s: float | None = 10.0, **changes: Any) -> LoadRow:
    values: dict[str, Any] = {
        "unloaded": (), "reason": "drained", "was_loaded": False, "head_wait_s": 1.0,
        "jobs_served": 0, "lingers": 0, "lingers_answered": 0, "linger_wasted_s": 0.0,
    }  # fmt: skip
    return LoadRow(queue=queue, model=f"{queue} model", cost_s=cost_s, **{**values, **changes})


def outlook(store: Store, target: str = "gpu") -> Outlook:
    return store.do(read_outlook, target, keep_embeddings_s=60)


@pytest.fixture
def lease(store: Store) -> Lease:
    store.declare("gpu")
    return store.lease("gpu")


@pytest.fixture
def lost(store: Store, lease: Lease) -> Lease:
    """A lease that somebody else has taken over."""
    store.sql("UPDATE targets SET lease_until = NULL")
    store.lease("gpu", worker="spare")
    return lease


def test_residents_are_what_was_told_last(store: Store, lease: Lease) -> None:
    tell(store, lease, A, B)
    since = rows(store)[B]["since"]
    tell(store, lease, B, C, pinned=True)

    told = rows(store)

    assert set(told) == {B, C}
    assert told[B] == {
        "target": "gpu", "queue": B, "model": f"{B} model", "size_bytes": 5, "is_pinned": True,
        "since": since, "is_loading": False,
    }  # fmt: skip
    assert store.do(residents.read_residents, "gpu") == ((B, f"{B} model"), (C, f"{C} model"))


def test_what_is_loading_is_not_touched_by_what_is_loaded(store: Store, lease: Lease) -> None:
    loading(store, lease, B)
    tell(store, lease, A)

    assert {queue: row["is_loading"] for queue, row in rows(store).items()} == {A: False, B: True}
    assert rows(store)[B]["model"] == "b:latest"
    assert store.sql("SELECT reason FROM targets")[0]["reason"] == "it waits"


def test_a_load_that_ended_is_a_resident_from_then_on(store: Store, lease: Lease) -> None:
    loading(store, lease, A)
    store.sql("UPDATE residents SET since = now() - interval '9 s'")
    tell(store, lease, A)

    (young,) = store.sql("SELECT since > now() - interval '5 s' AS is_young FROM residents")
    assert young["is_young"]
    assert not rows(store)[A]["is_loading"]


def test_one_load_at_a_time_is_told_and_it_can_be_taken_back(store: Store, lease: Lease) -> None:
    tell(store, lease, A)
    loading(store, lease, B)
    loading(store, lease, C)
    assert set(rows(store)) == {A, C}

    loading(store, lease, None)

    assert set(rows(store)) == {A}


def test_a_resident_that_is_loaded_again_stays_in_its_row(store: Store, lease: Lease) -> None:
    tell(store, lease, A, B)
    loading(store, lease, A)

    assert {queue: row["is_loading"] for queue, row in rows(store).items()} == {A: True, B: False}


def test_nothing_is_known_of_a_target_whose_load_was_never_finished(
    store: Store, lease: Lease
) -> None:
    tell(store, lease, A)
    loading(store, lease, B)

    assert store.do(residents.read_residents, "gpu") == ()


def test_a_visit_ends_when_its_residency_is_unloaded(store: Store, lease: Lease) -> None:
    do(store, residents.record_load, lease, load(A, cost_s=7.0))
    tell(store, lease, A, B)
    assert outlook(store).costs == {A: Cost(7.0, None)}

    tell(store, lease, C)

    costs = outlook(store).costs
    assert costs[A].swap_s == 7.0
    assert costs[A].idle_s == pytest.approx(0, abs=5)
    # Found loaded, and never measured.
    assert costs[B].swap_s is None
    assert costs[B].idle_s is not None


def test_the_cost_of_a_load_is_smoothed_and_what_was_no_load_says_nothing(
    store: Store, lease: Lease
) -> None:
    do(store, residents.record_load, lease, load(A, cost_s=10.0))
    do(store, residents.record_load, lease, load(A, cost_s=20.0))
    do(store, residents.record_load, lease, load(A, cost_s=99.0, was_loaded=True))
    do(store, residents.record_load, lease, load(A, cost_s=None))

    assert outlook(store).costs[A].swap_s == pytest.approx(13.0)
    assert len(store.sql("SELECT id FROM swaps")) == 4


def test_a_load_is_a_line_of_the_ledger(store: Store, lease: Lease) -> None:
    row = load(
        A, unloaded=(B, C), reason="overdue", jobs_served=7, lingers=3, lingers_answered=2,
        linger_wasted_s=1.5,
    )  # fmt: skip
    do(store, residents.record_load, lease, row)

    (line,) = store.sql("SELECT * FROM swaps")

    told = {
        "target": "gpu", "to_queue": A, "unloaded": [B, C], "reason": "overdue", "cost_s": 10.0,
        "jobs_served": 7, "head_wait_s": 1.0, "lingers": 3, "lingers_answered": 2,
        "linger_wasted_s": 1.5,
    }  # fmt: skip
    assert {name: line[name] for name in told} == told


def test_who_has_lost_its_lease_tells_nothing(store: Store, lost: Lease) -> None:
    before = store.sql("SELECT * FROM targets")

    tell(store, lost, A)
    loading(store, lost, B)
    do(store, residents.record_load, lost, load(A))
    do(store, residents.save_room, lost, Room(sizes={A: 5}))
    do(store, residents.mark_sick, lost, "it hangs")

    assert rows(store) == {}
    assert store.sql("SELECT id FROM swaps") == []
    assert store.sql("SELECT * FROM targets") == before


def test_what_was_learned_of_a_room_is_read_with_what_the_settings_say(
    store: Store, lease: Lease
) -> None:
    learned = Room(sizes={A: 5, B: 6}, seen_count=2, seen_bytes=11, clashes=(Clash(3, 20),))
    do(store, residents.save_room, lease, learned)

    room = store.do(residents.read_room, spec(residents=3, memory_bytes=30))

    assert room == Room(3, 30, {A: 5, B: 6}, 2, 11, (Clash(3, 20),))
    assert store.do(residents.read_room, spec("other")) == Room()


def test_a_target_of_another_url_has_nothing_loaded_and_an_unknown_room(
    store: Store, lease: Lease
) -> None:
    do(store, residents.save_room, lease, Room(sizes={A: 5}, seen_bytes=5))
    tell(store, lease, A)

    do(store, targets.declare_targets, [spec()])
    assert store.do(residents.read_room, spec()).seen_bytes == 5
    assert set(rows(store)) == {A}

    do(store, targets.declare_targets, [spec(host="new")])
    assert store.do(residents.read_room, spec()) == Room()
    assert rows(store) == {}


def test_a_target_sees_what_others_that_work_have_and_load(store: Store, lease: Lease) -> None:
    store.declare("gpu", "b", "sick", "dead")
    for name, queue in (("b", B), ("sick", C), ("dead", "model.d")):
        other = store.lease(name)
        tell(store, other, queue)
        loading(store, other, f"{queue}~x")
    do(store, residents.mark_sick, Lease("sick", 1), "it hangs")
    store.sql("UPDATE targets SET lease_until = now() WHERE name = 'dead'")
    tell(store, lease, A)
    store.queued(queue=A)

    seen = outlook(store)

    assert (set(seen.elsewhere), set(seen.loading_elsewhere)) == ({B}, {f"{B}~x"})
    assert [each.queue for each in seen.waiting] == [A]


def test_a_target_sees_which_models_were_embedded_with_there_of_late(
    store: Store, lease: Lease
) -> None:
    store.do(note_uses, [("gpu", "new:latest"), ("gpu", "old:latest"), ("b", "other:latest")])
    store.sql("UPDATE kept_models SET used_at = now() - interval '61 s' WHERE model LIKE 'old%'")

    assert outlook(store).used == {"new:latest"}
