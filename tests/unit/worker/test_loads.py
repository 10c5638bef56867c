"""Loads: when they begin, what they wait for, how they fail."""

import pytest

from foreman.core.lease import Lease
from foreman.core.queues import Residency
from foreman.errors import ForemanError, LoadFailed, LoadRefused
from foreman.scheduling.room import Room
from foreman.worker import effects, events
from tests.unit.worker.scene import GIB, LEASE, ONE, TWO, Scene, known, model, queue, ready


def loading(name: str = "b", *, room: Room = ONE) -> tuple[Scene, int]:
    """The target, which has `a`, is at the load of `name`, made for one job."""
    scene = ready("a", room=room).waits(name, 1)
    scene.passes(1)
    tag = scene.message(name)
    scene.claims(tag, waited_s=2)
    assert scene.one(effects.LoadModel).queue == queue(name)
    return scene, tag


def test_a_residency_in_the_way_that_rests_makes_room() -> None:
    scene, _ = loading()

    scene.loads("b")

    assert scene.residents == {"b"}
    row = scene.one(effects.RecordLoad).row
    assert (row.reason, row.unloaded, row.head_wait_s) == ("drained", (queue("a"),), 2)


def test_what_fits_is_loaded_beside_what_runs() -> None:
    scene = ready("a", room=TWO)
    scene.starts("a")
    scene.waits("b", 1).passes(1)
    tag = scene.message("b")

    assert scene.claims(tag).one(effects.LoadModel).victims == ()
    scene.loads("b")

    assert scene.residents == {"a", "b"}


def test_while_a_model_loads_the_other_residents_go_on() -> None:
    scene, _ = loading(room=TWO)

    scene.starts("a")

    assert scene.state.load is not None


def test_a_victim_takes_no_more_jobs_from_the_moment_it_is_chosen() -> None:
    scene = ready("a").waits("b", 1)
    old = scene.state.pulls.number
    scene.passes(1)

    late = scene.message("a", number=old)

    assert scene.one(effects.Requeue).tag == late


def test_only_one_load_runs_at_a_time() -> None:
    scene, _ = loading(room=Room(residents=3))
    scene.waits("c", 1).passes(2)
    assert not scene.asks("c")

    scene.loads("b").empty()

    assert scene.asks("c")


def test_no_visit_ends_by_an_old_view() -> None:
    scene = ready("a").waits("b", 1)
    tag = scene.starts("a")
    scene.waits("b", 1).passes(1)
    scene.answers_looks = False
    scene.passes(1)

    scene.empty().ends(tag).waits("a")
    assert scene.state.load is None
    scene.looks()

    assert scene.state.load is None
    assert scene.asks("a")


def test_what_fits_is_loaded_although_short_jobs_end_all_the_time() -> None:
    scene = ready("a", room=TWO)
    scene.answers_looks = False
    scene.waits("b", 1).passes(0.3)
    assert scene.state.is_looking
    asked_at = scene.now
    scene.serves("a", 0.002)

    scene.happens(events.Viewed(LEASE, scene.read(asked_at)))

    assert scene.state.load is not None


def test_rows_without_a_message_give_the_load_up_and_are_left_out_for_two_seconds() -> None:
    scene = ready("a").waits("b", 1)
    scene.passes(1)

    scene.empty()
    assert scene.state.load is None
    assert scene.one(effects.TellLoading).queue is None
    assert scene.one(effects.DoubtMessages).queue == queue("b"), "the relay looks for them now"
    assert scene.listens_to("b"), "its message may come any moment"
    scene.passes(1.9)
    assert scene.state.load is None
    scene.passes(0.5)

    assert scene.asks("b")


def test_a_residency_that_was_left_out_counts_again_when_its_message_comes() -> None:
    scene = ready("a", view=known("a", "b")).waits("b", 1)
    scene.passes(1)
    scene.empty()

    tag = scene.message("b")

    assert scene.one(effects.StartRun) == effects.StartRun(tag, False)


def test_a_load_whose_rows_are_gone_is_given_up() -> None:
    scene = ready("a").waits("b", 1)
    scene.passes(1)

    scene.waits_no_more("b").passes(0.5)

    assert scene.state.load is None
    assert scene.residents == {"a"}


def test_a_first_job_that_was_gone_gives_the_load_up() -> None:
    scene = ready("a").waits("b", 1)
    scene.passes(1)
    tag = scene.message("b")

    scene.waits_no_more("b").happens(events.Unclaimed(tag, is_looked_at=True))

    assert scene.state.load is None
    assert scene.one(effects.TellLoading).queue is None


def test_a_client_that_leaves_while_its_model_loads_does_not_abort_the_load() -> None:
    scene, tag = loading()

    scene.ends(tag, has_bytes=False)
    scene.loads("b")

    assert scene.residents == {"b"}
    assert not scene.all(effects.Proceed)


def test_a_load_of_an_older_lease_makes_nothing_ready() -> None:
    scene, tag = loading()
    scene.happens(events.LeaseLost(LEASE))
    scene.ends(tag)
    scene.listed = {}
    scene.happens(events.Leased(Lease("gpu", 2), scene.now, (), Room(residents=1)))

    scene.happens(
        events.Loaded(
            lease=LEASE, queue=queue("b"), cost_s=5, was_loaded=False, before={}, after={}
        )
    )

    assert scene.residents == set()


def test_a_failed_load_fails_its_job_and_pauses_its_residency_for_longer_each_time() -> None:
    scene, tag = loading()
    for pause_s in (1.0, 2.0, 4.0):
        scene.waits("b", 1).load_fails("b", LoadFailed("no"))
        assert str(scene.one(effects.Proceed).error) == "no"
        scene.ends(tag, LoadFailed("no"), has_bytes=False)
        scene.passes(pause_s - 0.1)
        assert not scene.asks("b")
        scene.passes(0.5)
        assert scene.asks("b")
        tag = scene.message("b")
        scene.claims(tag)


@pytest.mark.parametrize(
    ("error", "attempts_left"), [(LoadRefused("no"), 2), (LoadFailed("no"), 0)]
)
def test_the_targets_own_answer_is_what_the_client_gets(
    error: ForemanError, attempts_left: int
) -> None:
    scene = ready("a").waits("b", 1)
    scene.passes(1)
    tag = scene.message("b")
    scene.claims(tag, attempts_left=attempts_left)

    scene.load_fails("b", error)

    assert scene.one(effects.Proceed) == effects.Proceed(tag)


def test_nothing_is_loaded_while_the_target_may_load_for_a_request_by_itself() -> None:
    scene = ready("a").waits("b", 1)
    scene.passes(1)
    tag = scene.message("b")
    scene.claims(tag, attempts_left=0)
    scene.lists_no_more("a").load_fails("b", LoadFailed("no"))
    scene.waits("c", 1).waits("b", 1)

    scene.passes(40)
    assert scene.state.load is None
    assert not scene.names, "nothing is taken that would have to be loaded"

    scene.ends(tag)
    assert scene.all(effects.Observe)
    scene.passes(0.5)
    assert scene.state.load is not None


def test_what_a_failed_load_left_behind_is_looked_at() -> None:
    scene, _ = loading()
    scene.lists_no_more("a")

    scene.load_fails("b", LoadFailed("no"))

    assert scene.residents == set()


def test_a_resident_that_may_be_gone_is_repaired_and_its_visit_goes_on() -> None:
    scene = ready("a")
    scene.serves("a")
    visit_at = scene.state.residents[queue("a")].visit_at
    scene.answers_observes = False
    scene.happens(events.Reached(True))
    tag = scene.message("a")
    assert scene.one(effects.StartRun) == effects.StartRun(tag, False)
    scene.claims(tag)

    scene.loads("a", was_loaded=False)

    assert scene.one(effects.RecordLoad).row.reason == "repair"
    assert scene.state.residents[queue("a")].visit_at == visit_at


def test_the_same_model_with_other_options_takes_the_place_of_its_twin() -> None:
    scene = ready("a", room=TWO)
    other = Residency(model("a"), '{"num_ctx":4096}')
    load = effects.LoadModel(
        lease=LEASE, queue=other.queue, residency=other, victims=(model("a"),), may_go=()
    )
    row = scene.waits("a", 1).rows.popitem()[1]
    scene.rows = {other.queue: type(row)(other.queue, row.job_class, None, model("a"), 1, 1)}
    scene.passes(1)
    scene.happens(events.Message(99, other.queue, "x", scene.state.pulls.number))
    scene.happens(
        events.Claimed(tag=99, model=model("a"), residency=other, waited_s=1, attempts_left=2)
    )
    assert scene.one(effects.LoadModel) == load

    scene.happens(
        events.Loaded(
            lease=LEASE,
            queue=other.queue,
            cost_s=5,
            was_loaded=False,
            before={},
            after={model("a"): GIB},
        )
    )

    assert set(scene.state.residents) == {other.queue}
