"""Runs, and what stops them."""

from foreman.core.queues import Residency
from foreman.errors import JobCancelled, TargetCut, WorkerLost
from foreman.worker import effects, events
from foreman.worker.state import Idle
from tests.unit.worker.scene import LEASE, ready


def test_a_slot_is_free_when_the_target_has_answered() -> None:
    scene = ready("a")
    tag = scene.starts("a")
    scene.starts("a")
    assert scene.wish == Idle()

    scene.ends(tag)

    assert scene.listens_to("a")


def test_the_next_job_does_not_contend_with_the_hand_over_of_the_one_before() -> None:
    scene = ready("a")
    tag = scene.message("a")
    assert scene.wish == Idle()

    scene.claims(tag)

    assert scene.listens_to("a")


def test_a_claim_that_takes_long_holds_up_the_next_job_for_five_milliseconds() -> None:
    scene = ready("a")
    scene.message("a")

    scene.passes(0.006)

    assert scene.listens_to("a")


def test_a_message_whose_row_waits_no_more_is_done() -> None:
    scene = ready("a")
    tag = scene.message("a")

    scene.happens(events.Unclaimed(tag, is_looked_at=True))

    assert scene.one(effects.Ack).tag == tag
    assert scene.listens_to("a")


def test_a_message_whose_row_was_not_looked_at_goes_back_and_is_not_taken_at_once() -> None:
    scene = ready("a")
    tag = scene.message("a")

    scene.happens(events.Unclaimed(tag, is_looked_at=False))

    assert scene.one(effects.Requeue).tag == tag
    assert scene.wish == Idle()
    scene.passes(1.1)
    assert scene.listens_to("a")


def test_a_job_is_stopped_where_it_runs() -> None:
    scene = ready("a")
    tag = scene.message("a", job_id="x")
    scene.claims(tag)

    scene.happens(events.CancelAsked("x"))

    assert isinstance(scene.one(effects.StopRun).error, JobCancelled)
    assert not scene.happens(events.CancelAsked("x")).all(effects.StopRun)


def test_a_job_that_is_stopped_before_its_claim_is_stopped_at_it() -> None:
    scene = ready("a")
    tag = scene.message("a", job_id="x")

    assert not scene.happens(events.CancelAsked("x")).all(effects.StopRun)

    assert isinstance(scene.claims(tag).one(effects.StopRun).error, JobCancelled)


def test_a_run_that_is_stopped_at_its_claim_loads_nothing() -> None:
    scene = ready("a").waits("b", 1)
    scene.passes(1)
    tag = scene.message("b", job_id="x")
    scene.happens(events.CancelAsked("x"))

    scene.claims(tag)

    assert isinstance(scene.one(effects.StopRun).error, JobCancelled)
    assert not scene.all(effects.LoadModel)
    assert scene.state.load is None
    assert scene.one(effects.TellLoading).queue is None


def test_a_lost_lease_stops_what_runs_and_what_is_claimed_after_it() -> None:
    scene = ready("a")
    running, handed = scene.starts("a"), scene.message("a")

    scene.happens(events.LeaseLost(LEASE))

    assert scene.one(effects.StopRun).tag == running
    assert isinstance(scene.claims(handed).one(effects.StopRun).error, WorkerLost)


def test_a_run_that_its_target_cut_leaves_its_residency_in_doubt() -> None:
    scene = ready("a")
    scene.answers_observes = False
    tag = scene.starts("a")

    scene.ends(tag, TargetCut(), has_bytes=False)
    assert scene.one(effects.Observe).lease == LEASE
    tag = scene.message("a")

    assert scene.one(effects.StartRun) == effects.StartRun(tag, False)
    assert scene.claims(tag).one(effects.LoadModel).residency == Residency("a:latest")


def test_a_request_that_lets_the_model_go_leaves_it_in_doubt_until_it_is_loaded_again() -> None:
    scene = ready("a")
    tag = scene.starts("a")

    scene.ends(tag, unloads=True)  # still listed: it goes in a moment
    tag = scene.message("a")
    assert scene.one(effects.StartRun) == effects.StartRun(tag, False)
    scene.claims(tag).loads("a", was_loaded=False)
    scene.ends(tag)

    scene.starts("a")
    assert scene.residents == {"a"}


def test_jobs_of_a_visit_are_those_that_were_claimed() -> None:
    scene = ready("a")
    tag = scene.message("a")
    scene.happens(events.Unclaimed(tag, is_looked_at=True))
    scene.serves("a")

    assert [each.jobs for each in scene.state.residents.values()] == [1]
