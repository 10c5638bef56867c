"""Pinned models, and those that are kept while they are in use."""

from dataclasses import replace

import pytest

from foreman.core.queues import Residency
from foreman.errors import ForemanError, LoadFailed, TargetTimeout
from foreman.scheduling.room import Room
from foreman.worker import effects
from tests.unit.worker.scene import GIB, TWO, Scene, model, queue, ready, setup


def pinned(*names: str, room: Room = TWO, **view: object) -> Scene:
    models = frozenset(model(each) for each in names)
    return ready(
        given=setup(pinned=models), room=room, view={"kept": models, "models": models, **view}
    )


def test_a_pinned_model_is_loaded_from_the_start_for_good() -> None:
    scene = ready(given=setup(pinned=frozenset({model("p")})), room=TWO)
    scene.view = {"kept": frozenset({model("p")}), "models": frozenset({model("p")})}

    scene.passes(1)

    assert scene.one(effects.LoadModel).keep_alive_s == float("inf")
    scene.loads("p")
    assert scene.state.residents[queue("p")].is_pinned


@pytest.mark.parametrize("error", [LoadFailed("no"), TargetTimeout("no")])
def test_a_pinned_model_that_fails_is_not_tried_again_at_every_look(error: ForemanError) -> None:
    scene = pinned("p")
    assert scene.state.load is not None

    scene.load_fails("p", error)
    scene.passes(55)
    assert scene.state.load is None
    scene.passes(10)

    assert scene.state.load is not None


def test_jobs_of_a_pinned_model_do_not_wait_for_its_pause() -> None:
    scene = pinned("p")
    scene.load_fails("p", LoadFailed("no"))

    scene.waits("p").passes(2)

    assert scene.asks("p")


def test_a_pinned_model_that_is_never_listed_is_not_loaded_at_every_look() -> None:
    scene = pinned("p")
    scene.loads("p")
    scene.lists_no_more("p")
    scene.passes(2.1)
    assert scene.residents == set()

    scene.passes(6)

    assert scene.state.load is None


def test_two_pinned_models_that_do_not_fit_do_not_chase_each_other() -> None:
    scene = pinned("p", "q", room=Room())
    scene.loads("p", size_bytes=8 * GIB)
    assert scene.one(effects.LoadModel).may_go == (model("p"),)
    before = {model("p"): 8 * GIB}
    scene.lists_no_more("p").loads("q", size_bytes=8 * GIB, before=before)

    scene.passes(120)

    assert not scene.all(effects.LoadModel)


def test_a_pinned_model_that_the_target_does_not_have_is_not_loaded() -> None:
    scene = pinned("p", models=frozenset())

    scene.passes(5)

    assert scene.state.load is None


def test_a_kept_model_is_asked_to_stay_before_it_goes() -> None:
    scene = ready("p", given=setup(pinned=frozenset({model("p")})))
    scene.view = {"kept": frozenset({model("p")})}
    scene.passes(3)

    scene.lists("p", expires_in_s=30).passes(3)

    assert scene.all(effects.KeepLoaded)


@pytest.mark.parametrize(("expires_in_s", "is_asked"), [(300.0, True), (1700.0, False)])
def test_a_kept_model_that_others_have_loaded_is_asked_to_stay_as_long_as_one_of_foremans(
    expires_in_s: float, is_asked: bool
) -> None:
    scene = ready("p", given=setup(keep_embeddings_s=1800.0))
    scene.view = {"kept": frozenset({model("p")})}

    scene.lists("p", expires_in_s=expires_in_s).passes(6)

    assert bool(scene.all(effects.KeepLoaded)) is is_asked


def test_a_kept_model_with_runner_options_is_not_loaded_again_without_them() -> None:
    scene = ready("p", given=setup(pinned=frozenset({model("p")})))
    scene.view = {"kept": frozenset({model("p")})}
    resident = scene.state.residents[queue("p")]
    own = Residency(model("p"), '{"num_ctx":2048}').queue
    scene.state = replace(scene.state, residents={own: replace(resident, queue=own)})
    scene.passes(3)

    scene.lists("p", expires_in_s=30).passes(3)

    assert not scene.all(effects.KeepLoaded)


def test_the_log_names_what_can_never_be_loaded_next_to_the_pinned_once() -> None:
    scene = pinned("p", room=Room(residents=1))
    scene.loads("p")

    scene.waits("q").passes(3)

    told = [each.facts for each in scene.all(effects.Log) if each.level == effects.ERROR]
    assert told == [{"queue": queue("q")}]


def test_the_log_says_that_a_kept_model_had_to_go() -> None:
    scene = pinned("p", "q", room=Room())
    scene.loads("p", size_bytes=8 * GIB)
    before = {model("p"): 8 * GIB}

    scene.lists_no_more("p").loads("q", size_bytes=8 * GIB, before=before)

    told = [each.facts for each in scene.all(effects.Log) if each.level == effects.WARNING]
    assert told == [{"model": model("p"), "for": queue("q")}]


def test_an_embedding_model_in_use_keeps_nobody_out_where_one_model_fits() -> None:
    scene = ready("e", room=Room(residents=1))
    scene.view = {"kept": frozenset({model("e")})}
    scene.passes(3)
    assert scene.state.residents[queue("e")].is_pinned

    scene.waits("a").passes(1)
    assert scene.asks("a")
    scene.claims(scene.message("a"))

    assert scene.one(effects.LoadModel).victims == (model("e"),)
