"""Whether a target does real work, and what a worker does that takes no jobs."""

from foreman.core.lease import Lease
from foreman.errors import JobTooLong, TargetCut, TargetGivenUp, TargetTimeout
from foreman.scheduling.room import Room
from foreman.worker import effects, events
from foreman.worker.state import Idle
from foreman.worker.steps.watchdog import DEAF_S
from tests.unit.worker.scene import GIB, LEASE, Scene, known, model, queue, ready, setup


def sick() -> Scene:
    scene = ready("a", view=known("a"))
    tag = scene.starts("a")
    return scene.ends(tag, TargetTimeout(), has_bytes=False)


def test_a_target_that_lets_a_request_run_out_of_time_is_sick_and_takes_no_jobs() -> None:
    scene = sick()

    assert scene.one(effects.TellHealth).reason
    assert scene.wish == Idle()
    tag = scene.message("a")
    assert scene.one(effects.Requeue).tag == tag


def test_the_jobs_beside_the_one_that_hung_lose_no_attempt_and_those_with_bytes_go_on() -> None:
    scene = ready("a")
    hung, beside = scene.starts("a"), scene.starts("a")

    scene.ends(hung, TargetTimeout(), has_bytes=False)

    stop = scene.one(effects.StopRun)
    assert (stop.tag, stop.only_silent) == (beside, True)
    assert isinstance(stop.error, TargetGivenUp)


def test_a_job_that_is_claimed_as_its_target_falls_sick_is_given_back() -> None:
    scene = ready("a")
    hung, handed = scene.starts("a"), scene.message("a")
    scene.ends(hung, TargetTimeout(), has_bytes=False)

    scene.claims(handed)

    assert isinstance(scene.one(effects.StopRun).error, TargetGivenUp)


def test_a_job_that_takes_its_own_limit_says_nothing_of_its_target() -> None:
    scene = ready("a")
    tag = scene.starts("a")

    scene.ends(tag, JobTooLong(), has_bytes=False)

    assert scene.state.health.sick_of is None


def test_one_job_that_is_cut_in_all_its_runs_does_not_make_its_target_sick() -> None:
    scene = ready("a")
    for job_id in ("x", "x", "x", "y"):
        tag = scene.message("a", job_id=job_id)
        scene.claims(tag).ends(tag, TargetCut(), has_bytes=False)
    assert scene.state.health.sick_of is None

    tag = scene.message("a", job_id="z")
    scene.claims(tag).ends(tag, TargetCut(), has_bytes=False)

    assert scene.state.health.sick_of is not None


def test_a_sick_target_is_asked_for_a_token_after_pauses_that_grow() -> None:
    scene = sick()
    for pause_s in (2, 4, 8, 16, 30, 30):
        assert not scene.passes(pause_s - 0.5).all(effects.Probe)
        assert scene.passes(1).one(effects.Probe).model == model("a")
        scene.happens(events.Probed(LEASE, "still"))

    scene.passes(31).happens(events.Probed(LEASE, None))

    assert scene.all(effects.TellHealth)[-1].reason is None
    assert scene.listens_to("a")


def test_a_sick_target_is_asked_for_nothing_else() -> None:
    scene = ready("a", given=setup(pinned=frozenset({model("a"), model("p")})), room=Room())
    tag = scene.starts("a")
    scene.ends(tag, TargetTimeout(), has_bytes=False)
    scene.view = {"kept": frozenset({model("a"), model("p")}), "models": frozenset({model("p")})}
    scene.waits("b", 5).lists("a", expires_in_s=10)

    scene.passes(30)

    assert not scene.all(effects.LoadModel) + scene.all(effects.KeepLoaded)


def test_a_probe_of_the_lease_before_says_nothing_of_the_target_now() -> None:
    scene = sick().passes(3)
    again = Lease("gpu", 2)
    scene.happens(events.LeaseLost(LEASE))
    scene.happens(events.Leased(again, scene.now, ((queue("a"), model("a")),), Room()))
    tag = scene.starts("a")
    scene.ends(tag, TargetTimeout(), has_bytes=False).passes(3)
    assert scene.state.health.is_probing

    scene.happens(events.Probed(LEASE, None))

    assert scene.state.health.sick_of is not None


def test_a_target_that_is_away_is_said_to_be_and_gets_its_jobs_when_it_is_back() -> None:
    scene = ready("a", view=known("a"))

    scene.happens(events.Reached(False))
    assert scene.one(effects.TellHealth).reason == "it does not answer"
    scene.happens(events.Reached(True))

    assert scene.one(effects.TellHealth).reason is None
    assert scene.listens_to("a")


# The watchdog


def deaf(waited_s: float = 2 * DEAF_S) -> Scene:
    """Rows wait for a resident, and the broker's thread hangs: it answers nothing."""
    return ready("a").waits("a", waited_s)


def test_a_worker_that_takes_nothing_while_jobs_wait_gets_a_new_connection() -> None:
    scene = deaf().passes(DEAF_S + 1)

    assert scene.all(effects.Reconnect)
    assert not scene.all(effects.GiveUp)


def test_if_that_does_not_help_it_ends_to_be_started_again() -> None:
    scene = deaf().passes(2 * DEAF_S + 2)

    assert scene.all(effects.GiveUp)


def test_a_thread_that_hangs_while_a_load_asks_for_its_first_job_is_deaf_too() -> None:
    scene = ready("a").waits("b", 2 * DEAF_S).passes(DEAF_S + 1)

    assert scene.all(effects.Reconnect)


def test_jobs_that_came_just_now_prove_nothing() -> None:
    scene = deaf(waited_s=DEAF_S - 1).passes(5 * DEAF_S)

    assert not scene.all(effects.Reconnect)


def test_a_busy_worker_need_not_take_any() -> None:
    scene = ready("a")
    scene.starts("a")
    scene.waits("b", 10 * DEAF_S).passes(5 * DEAF_S)

    assert not scene.all(effects.Reconnect)


def test_an_outage_of_the_database_proves_nothing() -> None:
    scene = ready("a").waits("b", 10)
    scene.passes(1).empty()
    scene.has_database = False

    scene.passes(5 * DEAF_S)

    assert not scene.all(effects.Reconnect)
    assert len(scene.all(effects.Look)) <= 5 * DEAF_S + 1


def test_a_broker_that_says_it_has_no_message_is_heard() -> None:
    scene = ready("a").waits("b", 2 * DEAF_S)

    for _ in range(int(3 * DEAF_S)):
        scene.passes(1).empty()
        assert not scene.all(effects.Reconnect)


def test_what_can_never_be_loaded_here_does_not_make_a_worker_deaf() -> None:
    room = Room(memory_bytes=2 * GIB, sizes={queue("p"): GIB, queue("b"): 2 * GIB})
    scene = ready("p", given=setup(pinned=frozenset({model("p")})), room=room)
    scene.view = {"kept": frozenset({model("p")}), "models": frozenset({model("p")})}

    scene.waits("b", 10 * DEAF_S).passes(3 * DEAF_S)

    assert scene.state.plan.stuck == {queue("b")}
    assert not scene.all(effects.Reconnect)


def test_a_worker_that_hears_again_is_heard_before_it_is_ended() -> None:
    scene = deaf().passes(DEAF_S + 1)
    scene.serves("a")

    scene.waits("a", 2 * DEAF_S).passes(DEAF_S + 1)

    assert scene.all(effects.Reconnect)
    assert not scene.all(effects.GiveUp)
