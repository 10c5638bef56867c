"""Views, observations, and what they teach: rows, residents, room and rhythm."""

from dataclasses import replace

import pytest

from foreman.core.queues import JobClass
from foreman.scheduling.room import Fit, Room
from foreman.worker import effects, events
from foreman.worker.state import Ask, Park
from tests.unit.worker.scene import (
    GIB,
    LOAD_S,
    RULES,
    Scene,
    known,
    queue,
    ready,
    setup,
)

# Nobody lingers.
AT_ONCE = setup(rules=replace(RULES, linger_s=0.0))


def passes_without_messages(scene: Scene, seconds: float) -> None:
    """Time, in which the broker answers each ask that it has nothing there."""
    end = scene.now + seconds
    while scene.now < end:
        scene.passes(min(0.01, end - scene.now))
        if isinstance(scene.wish, Ask):
            scene.empty()


def test_views_are_four_a_second_and_observations_one_in_two_seconds() -> None:
    scene = ready("a").passes(10)

    assert 38 <= len(scene.all(effects.Look)) <= 41
    assert 4 <= len(scene.all(effects.Observe)) <= 6


def test_views_of_very_many_rows_take_a_tenth_of_the_time() -> None:
    scene = ready("a")
    scene.view["took_s"] = 0.5

    scene.passes(50)

    assert len(scene.all(effects.Look)) <= 13


def test_what_somebody_else_has_loaded_is_a_resident() -> None:
    scene = ready("a").lists("b").passes(2.1)

    assert scene.residents == {"a", "b"}
    scene.starts("b")


def test_what_somebody_else_has_unloaded_is_none_and_nobody_waits_for_it() -> None:
    scene = ready("a").lists_no_more("a").passes(2.1)

    assert scene.residents == set()
    scene.waits("b", 1).passes(0.5)
    assert scene.state.load is not None
    assert scene.state.load.cause == "first"


def test_what_is_gone_while_its_run_goes_on_is_in_doubt() -> None:
    scene = ready("a", view=known("a"))
    tag = scene.starts("a")

    scene.lists_no_more("a").passes(2.1)
    assert scene.residents == {"a"}

    assert scene.ends(tag).residents == set()


def test_an_observation_from_before_a_load_says_nothing_after_it() -> None:
    scene = ready("a").waits("b", 1)
    scene.answers_observes = False
    scene.passes(3)
    began_at = scene.now
    tag = scene.message("b")
    scene.claims(tag).loads("b")

    scene.happens(events.Observed(began_at, {}))

    assert scene.residents == {"b"}


def test_the_residents_are_told_when_they_change() -> None:
    scene = ready("a")
    assert not scene.passes(10).all(effects.TellResidents)

    scene.lists("b").passes(2.1)

    assert len(scene.one(effects.TellResidents).residents) == 2


def test_what_is_seen_together_is_known_to_fit() -> None:
    scene = ready("a", room=Room()).lists("b").passes(2.1)

    assert scene.state.room.fit([queue("a"), queue("b")]) is Fit.FITS
    assert scene.one(effects.SaveRoom).room == scene.state.room


def test_what_is_gone_while_its_run_goes_on_was_not_seen_together_with_the_rest() -> None:
    scene = ready("a", room=Room())
    scene.starts("a")

    scene.lists_no_more("a").lists("b", size_bytes=20 * GIB).passes(2.1)

    assert scene.state.room.fit([queue("a"), queue("b")]) is Fit.UNKNOWN


# What is listened to


def test_a_target_at_rest_listens_to_all_it_may_serve() -> None:
    scene = ready("a", view=known("a", "b", "c") | {"elsewhere": frozenset({queue("c")})})

    assert isinstance(scene.wish, Park)
    assert {queue("a"), queue("b"), queue("b") + "~batch"} <= scene.wish.names
    assert queue("c") not in scene.wish.names


def test_a_target_at_work_listens_to_its_residents_alone() -> None:
    scene = ready("a", view=known("a", "b"))

    scene.starts("a")

    assert scene.listens_to("a")
    assert not scene.listens_to("b")


def test_what_is_listened_to_does_not_change_without_a_cause() -> None:
    scene = ready("a", view=known("a", "b"))

    assert not scene.passes(60).all(effects.Pull)


def test_while_others_wait_the_residents_queues_are_asked_and_not_listened_to() -> None:
    scene = ready("a")
    scene.starts("a")
    scene.waits("b", 1).passes(1)
    assert set(scene.names) == {queue("a"), queue("a") + "~batch"}

    pulls = sum(len(scene.empty().passes(0.05).all(effects.Pull)) for _ in range(10))

    assert pulls <= 11


def test_a_message_that_is_late_does_not_end_the_visit_of_its_job() -> None:
    scene = ready("a").waits("a", 0.1).waits("b", 5)
    scene.passes(0.26)
    scene.empty().passes(0.9)
    assert scene.state.load is None
    assert scene.listens_to("a")

    scene.passes(0.5)

    assert scene.state.load is not None


def test_an_interactive_job_that_came_since_the_view_goes_before_a_batch_job() -> None:
    scene = ready("a").waits("a", 1, job_class=JobClass.BATCH)

    scene.passes(1)

    assert scene.names == [queue("a"), queue("a") + "~batch"]


def test_batch_jobs_go_after_interactive_ones_until_they_are_overdue() -> None:
    scene = ready("a").waits("a", 5).waits("a", 500, job_class=JobClass.BATCH)
    scene.passes(0.3)
    assert scene.names[0] == queue("a")
    scene.empty().waits("a", 700, job_class=JobClass.BATCH).waits_no_more("a")

    scene.waits("a", 5).waits("a", 700, job_class=JobClass.BATCH).passes(0.3)
    scene.passes(3)

    assert scene.names[0] == queue("a") + "~batch"


def test_jobs_for_this_target_alone_go_first_and_are_left_to_nobody() -> None:
    scene = ready("a", view={"elsewhere": frozenset({queue("b")})})
    scene.waits("b", 0.1).waits("b", 0.1, pinned_target="gpu").passes(0.3)

    assert scene.names[0] == queue("b") + "~at~gpu"


# Rhythm


def test_the_gap_of_a_residency_that_was_unloaded_meanwhile_begins_with_its_last_answer() -> None:
    scene = ready("a", given=AT_ONCE)
    tag = scene.starts("a")
    scene.ends(tag)
    answered_at = scene.now
    scene.waits("b", 1).passes(0.5)
    tag = scene.message("b")
    scene.claims(tag).passes(LOAD_S).loads("b").ends(tag)
    scene.waits("a", scene.now - answered_at - 0.2).passes(0.3)

    tag = scene.message("a")
    scene.claims(tag, waited_s=scene.now - answered_at - 0.2)

    assert [round(each, 3) for each in scene.state.rhythms[queue("a")].gaps] == [0.2]


def test_a_resident_that_has_answered_one_job_lingers_until_the_credit_is_used() -> None:
    scene = ready("a")
    scene.ends(scene.starts("a"))

    passes_without_messages(scene.waits("b", 1), LOAD_S - 0.04)
    assert scene.state.load is None
    scene.passes(0.4)
    assert scene.asks("b")

    tag = scene.message("b")
    scene.waits_no_more("b").claims(tag).passes(LOAD_S).loads("b")
    assert scene.state.linger_credit == pytest.approx(1.0, abs=0.1)


def test_nobody_is_parked_for_when_a_linger_ends() -> None:
    scene = ready("a", given=setup(rules=replace(RULES, linger_s=2.0)))
    scene.ends(scene.starts("a"))
    answered_at = scene.now
    scene.waits("b", 1).passes(1.7)
    assert isinstance(scene.wish, Park)

    scene.passes(0.12)
    assert isinstance(scene.wish, Ask), "a job of the resident is still taken"
    passes_without_messages(scene, answered_at + 1.96 - scene.now)
    assert scene.state.load is None
    assert not isinstance(scene.wish, Park)
    scene.passes(0.06).empty()
    assert scene.asks("b")


def test_nobody_listens_for_the_moment_between_the_last_answer_and_the_load() -> None:
    scene = ready("a", given=AT_ONCE)
    tag = scene.starts("a")
    scene.waits("b", 1).passes(0.4)
    scene.empty().answers_looks = False

    scene.ends(tag)

    assert scene.one(effects.Look)
    assert not isinstance(scene.wish, Park)
    scene.looks()
    assert scene.asks("b")
