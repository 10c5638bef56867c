"""The lease: taken, kept, lost, given back; and the end of a worker."""

from foreman.core.lease import Lease
from foreman.errors import ShuttingDown, WorkerLost
from foreman.scheduling.room import Room
from foreman.worker import effects, events
from foreman.worker.state import Idle
from tests.unit.worker.scene import LEASE, ONE, Scene, known, model, queue, ready


def test_a_worker_without_a_target_asks_for_one_every_half_second() -> None:
    scene = Scene().happens(events.Tick())
    assert scene.all(effects.Acquire)

    scene.happens(events.NotLeased())
    assert not scene.passes(0.4).all(effects.Acquire)

    assert scene.passes(0.2).all(effects.Acquire)


def test_a_worker_that_starts_looks_at_what_its_target_has_loaded() -> None:
    scene = Scene().lists("a")
    scene.happens(events.Connected(True)).happens(events.Reached(True))

    scene.happens(events.Leased(LEASE, scene.now, ((queue("b"), model("b")),), ONE))

    assert scene.residents == {"a"}
    assert scene.all(effects.TellResidents)[-1].residents[0].queue == queue("a")


def test_a_target_that_does_not_say_what_it_has_is_served_all_the_same() -> None:
    scene = Scene()
    scene.listed = None
    scene.happens(events.Connected(True)).happens(events.Reached(True))
    scene.happens(events.Leased(LEASE, scene.now, ((queue("a"), model("a")),), ONE))

    tag = scene.message("a")

    assert scene.one(effects.StartRun) == effects.StartRun(tag, False)


def test_a_lease_is_given_up_in_time_although_its_renewal_hangs() -> None:
    scene = ready("a")
    tag = scene.starts("a")
    scene.renews = False

    scene.passes(30)

    assert isinstance(scene.one(effects.StopRun).error, WorkerLost)
    assert scene.one(effects.StopRun).tag == tag
    assert scene.state.lease is None
    assert scene.wish == Idle()
    assert scene.all(effects.Acquire)


def test_a_renewal_that_comes_through_after_that_gives_the_target_back() -> None:
    scene = ready("a")
    began_at = scene.now
    scene.renews = False
    scene.passes(30)

    scene.happens(events.Renewed(LEASE, began_at))

    assert scene.one(effects.Release).lease == LEASE
    assert scene.state.lease is None


def test_a_renewal_counts_from_its_request() -> None:
    scene = ready("a")
    began_at = scene.now
    scene.renews = False
    scene.passes(10).happens(events.Renewed(LEASE, began_at))

    assert scene.passes(18).state.lease == LEASE
    assert scene.passes(1).state.lease is None


def test_the_loss_of_an_older_lease_is_none() -> None:
    scene = ready("a")

    scene.happens(events.LeaseLost(Lease("gpu", 0)))

    assert scene.state.lease == LEASE


def test_a_view_of_the_target_before_is_none_of_the_one_that_is_leased_now() -> None:
    scene = ready("a")
    scene.answers_looks = False
    scene.waits("z", 5)
    scene.happens(events.LeaseLost(LEASE)).passes(0.1)
    scene.happens(events.Viewed(LEASE, scene.read(scene.now)))
    scene.happens(events.Leased(Lease("gpu", 2), scene.now, (), Room()))
    retry_at = scene.state.retry_at

    # Their reading may have taken until now: only the lease says whose they are.
    scene.happens(events.Viewed(LEASE, scene.read(scene.now)))
    assert not scene.state.view.waiting
    scene.happens(events.Viewed(LEASE, None))
    assert scene.state.is_looking
    assert scene.state.retry_at == retry_at


def test_a_worker_that_stops_takes_nothing_more_and_lets_its_runs_end() -> None:
    scene = ready("a", view=known("a"))
    running = scene.starts("a")

    scene.happens(events.StopAsked())
    late = scene.message("a")
    assert scene.one(effects.Requeue).tag == late
    assert scene.wish == Idle()
    scene.ends(running)

    assert scene.one(effects.Release).lease == LEASE
    assert not scene.passes(5).all(effects.Acquire)


def test_what_runs_for_too_long_is_given_back_by_a_worker_that_stops() -> None:
    scene = ready("a")
    tag = scene.starts("a")
    scene.happens(events.StopAsked())

    scene.passes(20.1)
    assert isinstance(scene.one(effects.StopRun).error, ShuttingDown)
    scene.ends(tag)

    assert scene.one(effects.Release).lease == LEASE


def test_a_worker_that_stops_while_it_asks_for_the_first_job_of_a_load_ends_at_once() -> None:
    scene = ready("a").waits("b", 1)
    scene.passes(1)

    scene.happens(events.StopAsked())

    assert scene.one(effects.Release).lease == LEASE


def test_a_load_that_hangs_does_not_hold_up_the_end_for_ever() -> None:
    scene = ready("a").waits("b", 1)
    scene.passes(1)
    tag = scene.message("b")
    scene.claims(tag).ends(tag)
    assert not scene.happens(events.StopAsked()).all(effects.Release)

    scene.passes(20.1)

    assert scene.one(effects.Release).lease == LEASE


def test_a_target_that_is_leased_by_a_worker_that_stops_is_given_back() -> None:
    scene = Scene().happens(events.Tick())
    scene.happens(events.StopAsked())

    scene.happens(events.Leased(LEASE, scene.now, (), ONE))

    assert scene.one(effects.Release).lease == LEASE
    assert scene.state.lease is None
