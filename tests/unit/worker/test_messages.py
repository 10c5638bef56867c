"""What becomes of a message; the numbers are those of `steps.messages`."""

from foreman.core.queues import Residency
from foreman.errors import WorkerLost
from foreman.worker import effects, events
from foreman.worker.state import Idle
from tests.unit.worker.scene import LEASE, known, queue, ready

_A = Residency("a:latest")


def test_1_what_is_no_task_is_set_aside() -> None:
    scene = ready("a")

    scene.happens(events.Message(7, queue("a"), None, scene.state.pulls.number))

    assert scene.one(effects.SetAside).tag == 7
    assert not scene.all(effects.Log), "the broker's thread logs it, with its content"
    assert scene.state.undecodable == 1


def test_2_a_message_that_comes_twice_is_done_and_holds_no_slot() -> None:
    scene = ready("a")
    tag = scene.message("a", job_id="x")

    again = scene.message("a", job_id="x")

    assert scene.one(effects.Ack).tag == again
    assert list(scene.state.jobs) == [tag]


def test_2_the_next_run_of_a_job_whose_end_is_still_recorded_has_a_slot_of_its_own() -> None:
    scene = ready("a")
    first = scene.message("a", job_id="x")
    scene.claims(first).ends(first)

    second = scene.message("a", job_id="x")
    scene.ends(first)

    assert list(scene.state.jobs) == [second]


def test_3_a_message_that_comes_while_the_target_is_away_goes_back() -> None:
    scene = ready("a")
    scene.happens(events.Reached(False))

    tag = scene.message("a")

    assert scene.one(effects.Requeue).tag == tag
    assert scene.wish == Idle()


def test_3_a_queue_that_the_operator_has_paused_is_left_alone_until_it_goes_on() -> None:
    scene = ready("a").waits("a")
    scene.passes(1)
    assert scene.asks("a")

    scene.happens(events.Refuse(queue("a"), True))
    tag = scene.message("a")
    assert scene.one(effects.Requeue).tag == tag
    scene.passes(5)
    assert not scene.asks("a")
    assert not scene.listens_to("a")

    scene.happens(events.Refuse(queue("a"), False))
    assert scene.asks("a")


def test_3_a_load_is_given_up_when_its_queue_is_paused() -> None:
    scene = ready("a").waits("b", 1)
    scene.passes(1)
    assert scene.asks("b")

    scene.happens(events.Refuse(queue("b"), True))
    tag = scene.message("b")

    assert scene.one(effects.Requeue).tag == tag
    assert scene.state.load is None
    assert not scene.asks("b")


def test_4_the_first_message_of_a_load_waits_for_it_after_its_claim() -> None:
    scene = ready("a").waits("b", 1)
    scene.passes(1)

    tag = scene.message("b")
    assert scene.one(effects.StartRun) == effects.StartRun(tag, False)
    scene.claims(tag, waited_s=1)
    assert scene.one(effects.LoadModel).victims == ("a:latest",)
    assert scene.one(effects.Ack).tag == tag
    scene.loads("b")

    assert scene.one(effects.Proceed) == effects.Proceed(tag)


def test_5_a_message_of_a_resident_runs_and_is_done_when_its_row_is_claimed() -> None:
    scene = ready("a")

    tag = scene.message("a")

    assert scene.one(effects.StartRun) == effects.StartRun(tag, True)
    assert not scene.all(effects.Ack)
    assert scene.claims(tag).one(effects.Ack).tag == tag
    assert not scene.ends(tag).all(effects.Ack)


def test_5_no_more_jobs_of_a_resident_run_than_it_has_slots() -> None:
    scene = ready("a")
    scene.starts("a")
    scene.starts("a")

    tag = scene.message("a")

    assert scene.one(effects.Requeue).tag == tag


def test_5_each_resident_has_slots_of_its_own() -> None:
    scene = ready("a", "b")

    tags = [scene.starts(each) for each in ("a", "b", "a", "b")]

    assert list(scene.state.jobs) == tags


def test_5_a_resident_that_closes_for_the_overdue_takes_no_more_jobs() -> None:
    scene = ready("a", view=known("a", "b"))
    running = scene.starts("a")
    scene.waits("a").waits("b", 3000.0)
    scene.passes(500)  # its least dwell
    assert scene.state.residents[queue("a")].is_closing

    tag = scene.message("a")

    assert scene.one(effects.Requeue).tag == tag
    assert not scene.asks("a")
    scene.ends(running)
    assert scene.state.load is not None
    assert (scene.state.load.queue, scene.state.load.victims) == (queue("b"), (queue("a"),))


def test_6_a_message_at_rest_is_held_until_the_rules_have_seen_its_row() -> None:
    scene = ready("a", view=known("a", "b"))
    assert scene.listens_to("b")
    scene.answers_looks = False
    tag = scene.message("b")
    assert scene.wish == Idle()

    scene.waits("b").passes(0.01).looks()

    assert scene.one(effects.StartRun) == effects.StartRun(tag, False)


def test_6_a_held_message_of_a_row_that_is_gone_is_done_and_ends_no_visit() -> None:
    scene = ready("a", view=known("a", "b"))

    tag = scene.message("b")

    assert scene.one(effects.Ack).tag == tag
    assert scene.state.load is None
    assert scene.residents == {"a"}


def test_6_a_held_message_goes_back_when_another_target_has_loaded_its_model() -> None:
    scene = ready("a", view=known("a", "b")).waits("b")
    scene.view["elsewhere"] = frozenset({queue("b")})

    tag = scene.message("b")

    assert scene.one(effects.Requeue).tag == tag
    assert not scene.listens_to("b")


def test_6_a_held_message_goes_back_when_another_residency_has_waited_for_longer() -> None:
    scene = ready("a", view=known("a", "b")).waits("b").waits("c", 20)

    tag = scene.message("b")

    assert scene.one(effects.Requeue).tag == tag
    assert scene.asks("c")


def test_6_a_message_that_only_another_target_may_take_is_not_taken_again_and_again() -> None:
    scene = ready("a", view=known("a", "b") | {"names": frozenset({queue("b")})})

    scene.message("b")
    assert scene.one(effects.Requeue)

    assert not scene.listens_to("b")
    assert scene.listens_to("a")


def test_6_a_held_message_goes_back_at_the_stop_and_with_the_lease() -> None:
    for end in (events.StopAsked(), events.LeaseLost(LEASE)):
        scene = ready("a", view=known("a", "b"))
        scene.answers_looks = False
        tag = scene.message("b")

        scene.happens(end)

        assert scene.one(effects.Requeue).tag == tag
        assert scene.state.held is None


def test_7_a_message_that_comes_too_late_for_its_wish_goes_back() -> None:
    scene = ready("a", view=known("a", "b"))
    scene.starts("a")

    tag = scene.message("b")

    assert scene.one(effects.Requeue).tag == tag


def test_a_message_of_an_older_wish_does_not_end_the_newer_one() -> None:
    scene = ready("a").waits("b", 1)
    old = scene.state.pulls.number
    scene.passes(1)
    assert scene.asks("b")

    scene.message("a", number=old)

    assert scene.asks("b")
    assert scene.state.pulls.number == old + 1


def test_messages_of_a_lost_connection_are_settled_by_nobody() -> None:
    scene = ready("a")
    running, handed = scene.starts("a"), scene.message("a")

    scene.happens(events.Connected(False))
    scene.happens(events.Connected(True))
    scene.claims(handed)
    assert not scene.all(effects.Ack)
    scene.ends(handed).ends(running)

    assert not scene.all(effects.Ack)
    assert scene.listens_to("a")


def test_a_task_that_never_begins_lets_its_slot_go_and_its_message_back() -> None:
    scene = ready("a")
    tag = scene.message("a")

    scene.passes(61)

    assert scene.one(effects.Requeue).tag == tag
    assert not scene.state.jobs


def test_a_claim_that_comes_after_its_slot_was_let_go_gives_the_job_back() -> None:
    scene = ready("a")
    tag = scene.message("a")
    scene.passes(61)

    scene.happens(
        events.Claimed(tag=tag, model="a:latest", residency=_A, waited_s=61, attempts_left=2)
    )

    assert isinstance(scene.one(effects.StopRun).error, WorkerLost)
