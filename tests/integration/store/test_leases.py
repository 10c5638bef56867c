"""Targets: one worker at a time by lease and fence, and the ledger of swaps."""

from typing import Any

from foreman.core.lease import Lease
from foreman.core.outlook import Cost
from foreman.parsing import TargetSpec
from foreman.store import swaps, targets
from tests.integration.store.ground import LEASE_S, Store
from tests.stack import wait_for

TINY_S = 0.05


def target(store: Store, name: str = "gpu") -> dict[str, Any]:
    return store.sql("SELECT * FROM targets WHERE name = :name", name=name)[0]


def ledger(store: Store) -> list[tuple[object, ...]]:
    rows = store.sql("SELECT * FROM swaps ORDER BY id")
    keys = ("target", "from_queue", "to_queue", "reason", "jobs_served")
    return [tuple(row[key] for key in keys) for row in rows]


def swap(
    store: Store,
    lease: Lease,
    to_queue: str,
    *,
    jobs_served: int = 0,
    cost_s: float | None = 10.0,
    was_loaded: bool = False,
) -> None:
    with store.database.transaction() as connection:
        line = swaps.SwapRecord(
            to_queue=to_queue,
            model=to_queue,
            reason="drained",
            jobs_served=jobs_served,
            cost_s=cost_s,
            was_loaded=was_loaded,
            head_wait_s=1.0,
            fifo_swaps=2,
            saved_s=3.0,
        )
        swaps.record_swap(connection, lease, line)


def test_a_worker_takes_a_free_target(store: Store) -> None:
    store.declare("gpu")

    lease = store.acquire("gpu", worker="worker1")

    assert lease == Lease("gpu", 1)
    assert target(store)["worker"] == "worker1"


def test_a_worker_too_many_stands_by(store: Store) -> None:
    store.declare("a", "b")
    taken = [store.lease("a"), store.lease("b")]

    assert {lease.target for lease in taken} == {"a", "b"}
    assert store.acquire("a", "b", worker="spare") is None


def test_a_worker_takes_only_a_target_of_its_settings(store: Store) -> None:
    store.declare("a", "b")

    assert store.lease("b").target == "b"
    assert store.acquire("b", "unknown") is None


def test_a_lease_that_ran_out_is_taken_over_with_a_higher_fence(store: Store) -> None:
    store.declare("gpu")
    old = store.lease("gpu", worker="dead", lease_s=TINY_S)

    new = wait_for(lambda: store.acquire("gpu", worker="spare"))

    assert new == Lease("gpu", old.fence + 1)
    assert target(store)["worker"] == "spare"


def test_a_lease_that_was_taken_over_cannot_be_renewed(store: Store) -> None:
    store.declare("gpu")
    old = store.lease("gpu", lease_s=TINY_S)
    wait_for(lambda: store.acquire("gpu", worker="spare"))
    before = target(store)

    assert not store.do(targets.renew_lease, old, lease_s=LEASE_S)
    assert target(store) == before


def test_a_lease_lives_as_long_as_it_is_renewed(store: Store) -> None:
    store.declare("gpu")
    lease = store.lease("gpu", lease_s=TINY_S)

    assert store.do(targets.renew_lease, lease, lease_s=LEASE_S)

    left = store.sql("SELECT lease_until - now() AS left FROM targets")[0]["left"]
    assert LEASE_S - 5 < left.total_seconds() <= LEASE_S
    assert store.acquire("gpu", worker="spare") is None


def test_a_released_target_is_free_at_once(store: Store) -> None:
    store.declare("gpu")
    first = store.lease("gpu")

    store.do(targets.release_lease, first)

    assert target(store)["worker"] is None
    assert store.acquire("gpu", worker="spare") == Lease("gpu", 2)


def test_a_lease_that_was_taken_over_releases_nothing(store: Store) -> None:
    store.declare("gpu")
    old = store.lease("gpu", lease_s=TINY_S)
    wait_for(lambda: store.acquire("gpu", worker="spare"))

    store.do(targets.release_lease, old)

    assert target(store)["worker"] == "spare"
    assert store.acquire("gpu", worker="third") is None


def test_a_released_lease_cannot_be_renewed(store: Store) -> None:
    store.declare("gpu")
    lease = store.lease("gpu")
    store.do(targets.release_lease, lease)

    assert not store.do(targets.renew_lease, lease, lease_s=LEASE_S)
    assert store.acquire("gpu", worker="spare")


def test_declaring_targets_changes_what_the_settings_say_and_no_lease(store: Store) -> None:
    store.declare("gpu")
    lease = store.lease("gpu")
    before = target(store)

    store.do(targets.declare_targets, [TargetSpec(name="gpu", url="http://new:1", slots=8)])

    assert target(store) == before | {"url": "http://new:1", "slots": 8}
    assert store.do(targets.renew_lease, lease, lease_s=LEASE_S)


def test_all_processes_see_who_drives_a_target(store: Store) -> None:
    store.declare("b", "a")
    store.lease("b", worker="worker1")
    swap(store, Lease("b", 1), "model.m")

    free, driven = store.do(targets.read_targets)

    assert (free.name, free.worker, free.is_leased) == ("a", None, False)
    assert (driven.name, driven.worker, driven.is_leased) == ("b", "worker1", True)
    assert (free.resident_queue, driven.resident_queue) == (None, "model.m")
    assert driven.url == "http://b:11434"


def test_a_lease_that_ran_out_counts_for_as_long_as_is_asked(store: Store) -> None:
    store.declare("gpu")
    store.lease("gpu")
    store.sql("UPDATE targets SET lease_until = now() - interval '10 s'")

    seen = [store.do(targets.read_targets, grace_s=grace)[0].is_leased for grace in (0, 9, 11)]

    assert seen == [False, False, True]


def test_a_swap_is_a_line_of_the_ledger(store: Store) -> None:
    store.declare("gpu")
    lease = store.lease("gpu")

    swap(store, lease, "model.a")
    swap(store, lease, "model.b", jobs_served=7)

    assert ledger(store) == [
        ("gpu", None, "model.a", "drained", 0),
        ("gpu", "model.a", "model.b", "drained", 7),
    ]
    assert target(store)["resident_queue"] == "model.b"
    assert target(store)["resident_since"] is not None


def test_a_worker_that_lost_its_target_writes_no_swap(store: Store) -> None:
    store.declare("gpu")
    old = store.lease("gpu", lease_s=TINY_S)
    wait_for(lambda: store.acquire("gpu", worker="spare"))

    swap(store, old, "model.b")

    assert target(store)["resident_queue"] is None
    assert ledger(store) == []


def test_a_residency_that_was_found_loaded_has_an_end_of_its_visit_too(store: Store) -> None:
    store.declare("gpu")
    lease = store.lease("gpu")
    swap(store, lease, "model.a", was_loaded=True)
    swap(store, lease, "model.b")

    costs = store.do(swaps.read_outlook, target="gpu").costs

    assert costs["model.a"].swap_s is None
    assert costs["model.a"].idle_s is not None
    assert costs["model.b"] == Cost(10.0, None)
