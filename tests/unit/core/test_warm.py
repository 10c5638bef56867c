"""Models kept loaded beside the resident one: every branch of the decision, and the evidence."""

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreman.core.warm import (
    CLASH_LASTS_S,
    RENEW_BELOW_S,
    Loaded,
    Look,
    Past,
    Serving,
    Step,
    find_clashes,
    is_refuted,
    next_step,
)

GIB = 1024**3
LONG_S = 1800.0


def look(
    *models: str,
    at_s: float = 0.0,
    resident: str | None = None,
    is_running: bool = False,
    **expires_in_s: float,
) -> Look:
    """A target with these models in memory; a model's own time is given by its name."""
    loaded = {name: Loaded(name, GIB, LONG_S) for name in models}
    loaded |= {name: Loaded(name, GIB, left_s) for name, left_s in expires_in_s.items()}
    return Look(at_s, loaded, Serving(resident, is_running))


def clashes(before: Look, now: Look, wanted: Iterable[str] = ("embed",)) -> list[tuple[str, str]]:
    return [clash.pair for clash in find_clashes(before, now, set(wanted))]


# The next step


def test_a_wanted_model_that_is_not_there_is_loaded() -> None:
    assert next_step(["embed"], look("chat"), Past()) == Step("embed", is_load=True)


def test_a_wanted_model_that_somebody_else_loaded_is_told_how_long_it_stays() -> None:
    assert next_step(["embed"], look("embed"), Past()) == Step("embed", is_load=False)


def test_a_wanted_model_that_stays_long_enough_is_left_alone() -> None:
    assert next_step(["embed"], look("embed"), Past(settled=["embed"])) is None


def test_a_load_is_renewed_before_it_runs_out() -> None:
    nearly_over = look(embed=RENEW_BELOW_S - 1)

    assert next_step(["embed"], nearly_over, Past(settled=["embed"])) == Step("embed", False)


def test_a_model_whose_own_jobs_run_is_left_to_them() -> None:
    served = look("chat", resident="chat", is_running=True)

    assert next_step(["chat"], served, Past()) is None


def test_nothing_is_loaded_beside_a_resident_that_is_being_loaded() -> None:
    loading = look("embed", resident="chat", is_running=True)

    assert next_step(["embed", "pinned"], loading, Past()) is None


def test_a_resident_that_left_while_nobody_needed_it_delays_nothing() -> None:
    idle = look(resident="chat", is_running=False)

    assert next_step(["embed"], idle, Past()) == Step("embed", is_load=True)


@pytest.mark.parametrize("there", [look(), look(embed=1.0)])
def test_what_was_asked_in_vain_is_not_asked_again_at_once(there: Look) -> None:
    assert next_step(["embed"], there, Past(paused=["embed"])) is None


def test_one_model_that_must_wait_does_not_hold_up_the_next() -> None:
    past = Past(paused=["first"], settled=["second"])

    assert next_step(["first", "second", "third"], look("second"), past) == Step("third", True)


def clashed(at_s: float) -> Past:
    return Past(clashed_at_s={("embed", "chat"): at_s})


def test_a_model_that_does_not_fit_is_not_put_back_beside_that_chat_model() -> None:
    visit = look("chat", at_s=CLASH_LASTS_S, resident="chat", is_running=True)

    assert next_step(["embed"], visit, clashed(at_s=0)) is None


def test_it_is_put_back_when_the_chat_model_has_gone() -> None:
    swapped = look("other", at_s=1, resident="other", is_running=True)

    assert next_step(["embed"], swapped, clashed(at_s=0)) == Step("embed", is_load=True)


def test_it_is_tried_again_after_ten_minutes_but_never_under_a_running_job() -> None:
    later_s = CLASH_LASTS_S + 1
    busy = look("chat", at_s=later_s, resident="chat", is_running=True)
    idle = look("chat", at_s=later_s, resident="chat")

    assert next_step(["embed"], busy, clashed(at_s=0)) is None
    assert next_step(["embed"], idle, clashed(at_s=0)) == Step("embed", is_load=True)


# The evidence


def test_a_kept_model_that_goes_when_a_chat_model_comes_does_not_fit_beside_it() -> None:
    assert clashes(look("embed"), look("chat", at_s=2)) == [("embed", "chat")]


def test_that_the_chat_model_before_went_too_is_the_swap() -> None:
    before, now = look("embed", "old"), look("new", at_s=2, resident="new")

    assert clashes(before, now) == [("embed", "new")]


def test_where_another_could_have_gone_instead_nothing_is_proved() -> None:
    assert clashes(look("embed", "old"), look("old", "new", at_s=2)) == []


def test_a_kept_model_that_drives_out_the_resident_does_not_fit_beside_it() -> None:
    before, now = look("chat", resident="chat"), look("embed", at_s=2, resident="chat")

    assert clashes(before, now) == [("embed", "chat")]


def test_a_resident_that_was_swapped_was_not_driven_out_by_a_kept_model() -> None:
    before, now = look("chat", resident="chat"), look("embed", "new", at_s=2, resident="new")

    assert clashes(before, now) == []


@pytest.mark.parametrize("left_s", [-1.0, 0.5, 1.9])
def test_a_model_whose_time_was_over_was_not_driven_out(left_s: float) -> None:
    now = look("embed", at_s=2, resident="chat")

    assert clashes(look(embed=left_s), look("chat", at_s=2)) == []
    assert clashes(look(resident="chat", chat=left_s), now) == []


def test_an_unload_by_somebody_proves_nothing() -> None:
    assert clashes(look("embed", "chat"), look("chat", at_s=2)) == []


def test_of_two_kept_models_the_one_that_went_gives_way() -> None:
    assert clashes(look("a"), look("b", at_s=2), wanted=["a", "b"]) == [("a", "b")]


def test_a_clash_tells_what_both_take() -> None:
    (clash,) = find_clashes(look("embed"), look("chat", at_s=2), {"embed"})

    assert (clash.kept.size_bytes, clash.other.size_bytes) == (GIB, GIB)


def test_two_models_that_are_both_loaded_do_fit() -> None:
    assert is_refuted(("embed", "chat"), look("embed", "chat"))
    assert not is_refuted(("embed", "chat"), look("chat"))


# Whatever happens

names = st.sampled_from("abcd")
looks = st.builds(
    lambda models, resident, is_running, at_s: look(
        *models, resident=resident, is_running=is_running, at_s=at_s
    ),
    st.sets(names),
    st.none() | names,
    st.booleans(),
    st.floats(0, 2 * CLASH_LASTS_S),
)
pasts = st.builds(
    lambda settled, paused, clashed: Past(settled=settled, paused=paused, clashed_at_s=clashed),
    st.sets(names),
    st.sets(names),
    st.dictionaries(st.tuples(names, names), st.floats(0, CLASH_LASTS_S), max_size=3),
)


@given(wanted=st.lists(names, unique=True), now=looks, past=pasts)
def test_a_step_is_for_a_wanted_model_and_says_whether_it_is_there(
    wanted: list[str], now: Look, past: Past
) -> None:
    step = next_step(wanted, now, past)

    if step is not None:
        assert step.model in wanted
        assert step.is_load is (step.model not in now.loaded)


@given(wanted=st.lists(names, unique=True), now=looks, past=pasts)
def test_under_running_jobs_nothing_known_to_drive_a_loaded_model_out_is_loaded(
    wanted: list[str], now: Look, past: Past
) -> None:
    step = next_step(wanted, now, past)

    if step is not None and step.is_load and now.serving.is_running:
        known: dict[Any, float] = dict(past.clashed_at_s or {})
        assert not any((step.model, other) in known for other in now.loaded)


@given(before=looks, now=looks, wanted=st.sets(names))
def test_a_clash_is_between_a_wanted_model_and_another(
    before: Look, now: Look, wanted: set[str]
) -> None:
    for kept, other in clashes(before, now, wanted):
        assert kept in wanted
        assert kept != other
