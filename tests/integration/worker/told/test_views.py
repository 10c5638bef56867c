"""What a worker is shown of what waits, and the target that it takes, over a real database."""

from collections.abc import Iterator
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any, cast, get_args

import pytest

from foreman.adapters.catalog import Catalog
from foreman.adapters.target import TargetClient
from foreman.config import from_env
from foreman.core.lease import Lease
from foreman.core.queues import JobClass
from foreman.core.residents import ResidentRow
from foreman.errors import DatabaseUnavailable
from foreman.runtime import WorkerRuntime
from foreman.scheduling.room import Room
from foreman.store import residents, targets
from foreman.store.kept import note_uses
from foreman.worker import effects
from foreman.worker.carrying_out import carry_out_with
from foreman.worker.effects import Acquire, Look, Release, TellLoading
from foreman.worker.events import Leased, NotLeased, Viewed
from foreman.worker.leases import Leases
from foreman.worker.state import View
from foreman.worker.views import Views
from tests.factories import environ
from tests.fakes.scripted_target import Reply, ScriptedTarget
from tests.integration.store.ground import Store

A, B = "model.a%3Alatest", "model.b%3Alatest"
MODELS: dict[str, list[dict[str, Any]]] = {
    "gpu": [{"name": "a", "size": 5}, {"name": "both", "size": 6}, {"name": "embed"}],
    "other": [{"name": "b", "size": 7}, {"name": "both", "size": 6}],
}


@pytest.fixture
def runtime(store: Store) -> Iterator[WorkerRuntime]:
    with ExitStack() as stack:
        fakes = {
            name: stack.enter_context(ScriptedTarget(lambda asked: Reply(), models=models))
            for name, models in MODELS.items()
        }
        named = ",".join(f"{name}={each.url}?residents=2" for name, each in fakes.items())
        settings = from_env(environ(FOREMAN_TARGETS=named, FOREMAN_PINNED="both,gone"))
        clients = {
            spec.name: TargetClient(spec, silence_s=5, connections=2) for spec in settings.targets
        }
        catalog = Catalog(clients)
        catalog.refresh()
        yield cast(
            WorkerRuntime,
            SimpleNamespace(
                database=store.database,
                settings=settings,
                targets=clients,
                catalog=catalog,
                worker="worker1",
            ),
        )
        for client in clients.values():
            client.close()


@pytest.fixture
def lease(store: Store, runtime: WorkerRuntime) -> Lease:
    with store.database.transaction() as connection:
        targets.declare_targets(connection, runtime.settings.targets)
    return store.lease("gpu")


def view(runtime: WorkerRuntime, lease: Lease) -> View:
    found = Views(runtime).look(Look(lease)).view
    assert found
    return found


def test_a_target_is_shown_what_it_may_serve_and_the_names_of_all(
    store: Store, runtime: WorkerRuntime, lease: Lease
) -> None:
    for _ in range(2):
        store.queued(queue=A, model="a:latest")
    store.queued(queue=A, model="a:latest", job_class=JobClass.BATCH)
    store.queued(queue=A, model="a:latest", pinned_target="other")
    store.queued(queue=B, model="b:latest")
    store.queued(queue="model.nowhere", model="nowhere:latest")

    seen = view(runtime, lease)

    assert {
        queue: {each.name: each.count for each in rows} for queue, rows in seen.waiting.items()
    } == {A: {A: 2, f"{A}~batch": 1}, "model.nowhere": {"model.nowhere": 1}}
    assert seen.names == {A, f"{A}~batch", f"{A}~at~other", B, "model.nowhere"}


def test_a_target_is_shown_its_models_their_sizes_and_what_is_kept(
    store: Store, runtime: WorkerRuntime, lease: Lease
) -> None:
    store.do(note_uses, [("gpu", "embed:latest"), ("gpu", "b:latest"), ("other", "a:latest")])

    seen = view(runtime, lease)

    assert seen.models == {"a:latest", "both:latest", "embed:latest"}
    assert seen.kept == {"both:latest", "embed:latest"}  # pinned, and used here
    assert seen.sizes == {"a:latest": 5, "both:latest": 6}


def test_a_target_is_shown_what_others_have_and_what_loads_have_cost(
    store: Store, runtime: WorkerRuntime, lease: Lease
) -> None:
    other = store.lease("other")
    with store.database.transaction() as connection:
        residents.tell_residents(connection, other, [ResidentRow(B, "b", 7, is_pinned=False)])
        residents.tell_loading(connection, other, A, reason="it waits")

    seen = view(runtime, lease)

    assert (set(seen.elsewhere), set(seen.loading_elsewhere)) == ({B}, {A})
    assert seen.costs.swap_s(A) == 10.0
    assert seen.took_s >= 0


class NoAnswer:
    def statement(self) -> Any:
        raise DatabaseUnavailable

    transaction = statement


class Broken:
    def statement(self) -> Any:
        raise RuntimeError("a defect")

    transaction = statement


@pytest.mark.parametrize("database", [NoAnswer(), Broken()])
def test_a_look_or_a_lease_that_fails_is_reported_too(
    runtime: WorkerRuntime, lease: Lease, database: Any
) -> None:
    runtime.database = database

    assert Views(runtime).look(Look(lease)).view is None
    assert Leases(runtime).acquire(Acquire()) == NotLeased()


def test_a_target_is_leased_with_what_its_rows_say(store: Store, runtime: WorkerRuntime) -> None:
    with store.database.transaction() as connection:
        targets.declare_targets(connection, runtime.settings.targets)
    first = store.lease("gpu")
    with store.database.transaction() as connection:
        residents.tell_residents(connection, first, [ResidentRow(A, "a:latest", 5, False)])
        residents.save_room(connection, first, Room(sizes={A: 5}, seen_bytes=5))
    store.do(targets.release_lease, first)
    store.lease("other")

    leased = Leases(runtime).acquire(Acquire())

    assert isinstance(leased, Leased)
    assert leased.lease == Lease("gpu", 2)
    assert leased.residents == ((A, "a:latest"),)
    assert leased.room == Room(residents=2, sizes={A: 5}, seen_bytes=5)


def test_a_target_that_is_given_back_is_free_and_no_target_is_reported(
    store: Store, runtime: WorkerRuntime, lease: Lease
) -> None:
    leases = Leases(runtime)
    store.lease("other")
    assert leases.acquire(Acquire()) == NotLeased()

    leases.release(Release(lease))

    assert isinstance(leases.acquire(Acquire()), Leased)


def test_to_give_a_target_back_without_a_database_fails_nothing(
    runtime: WorkerRuntime, lease: Lease
) -> None:
    runtime.database = cast(Any, NoAnswer())

    Leases(runtime).release(Release(lease))


def test_every_effect_of_the_target_and_its_rows_is_carried_out(
    store: Store, runtime: WorkerRuntime, lease: Lease
) -> None:
    carry_out, flush = carry_out_with(runtime)

    seen = carry_out[Look](Look(lease))
    carry_out[TellLoading](TellLoading(lease, A, "it waits"))
    flush()

    assert isinstance(seen, Viewed)
    assert [row["queue"] for row in store.sql("SELECT queue FROM residents")] == [A]
    elsewhere = {
        effects.Pull, effects.Ack, effects.Requeue, effects.SetAside, effects.Reconnect,
        effects.StartRun, effects.Proceed, effects.StopRun, effects.GiveUp, effects.Log,
    }  # fmt: skip
    assert carry_out.keys() == set(get_args(effects.Effect)) - elsewhere
