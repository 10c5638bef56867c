"""Targets: one worker at a time by lease and fence."""

from typing import Any

from foreman.core.lease import Lease
from foreman.parsing import TargetSpec
from foreman.store import targets
from tests.integration.store.ground import LEASE_S, Store
from tests.stack import wait_for

TINY_S = 0.05


def target(store: Store, name: str = "gpu") -> dict[str, Any]:
    return store.sql("SELECT * FROM targets WHERE name = :name", name=name)[0]


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

    free, driven = store.do(targets.read_targets)

    assert (free.name, free.worker, free.is_leased) == ("a", None, False)
    assert (driven.name, driven.worker, driven.is_leased) == ("b", "worker1", True)
    assert driven.url == "http://b:11434"


def test_a_lease_that_ran_out_counts_for_as_long_as_is_asked(store: Store) -> None:
    store.declare("gpu")
    store.lease("gpu")
    store.sql("UPDATE targets SET lease_until = now() - interval '10 s'")

    seen = [store.do(targets.read_targets, grace_s=grace)[0].is_leased for grace in (0, 9, 11)]

    assert seen == [False, False, True]
