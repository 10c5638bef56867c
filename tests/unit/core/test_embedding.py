"""Which models are for embeddings, and where an embedding goes, rule by rule."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreman.core.embedding import Listed, embeds_by_show, listed, pick_target
from foreman.core.steps import finished

BOTH = ["one", "two"]


def test_it_goes_where_its_model_is_loaded() -> None:
    assert pick_target(BOTH, reachable=BOTH, warm=["two"], busy={"two": 9}) == "two"


def test_where_it_is_loaded_nowhere_the_least_busy_gets_it() -> None:
    assert pick_target(BOTH, reachable=BOTH, warm=[], busy={"one": 2, "two": 1}) == "two"


def test_where_it_is_loaded_everywhere_the_least_busy_gets_it() -> None:
    assert pick_target(BOTH, reachable=BOTH, warm=BOTH, busy={"one": 1}) == "two"


def test_of_equals_the_first_of_the_settings_gets_it() -> None:
    assert pick_target(BOTH, reachable=BOTH, warm=[], busy={}) == "one"


def test_a_target_that_does_not_answer_is_passed_over_although_it_had_the_model_loaded() -> None:
    assert pick_target(BOTH, reachable=["two"], warm=["one"], busy={"two": 9}) == "two"


def test_the_only_target_that_has_the_model_is_asked_although_it_seems_away() -> None:
    assert pick_target(["one"], reachable=["two"], warm=[], busy={}) == "one"


def test_a_model_that_nobody_has_goes_nowhere() -> None:
    assert pick_target([], reachable=BOTH, warm=BOTH, busy={}) is None


targets = st.sets(st.sampled_from("abcd"))


@given(
    having=st.lists(st.sampled_from("abcd"), unique=True, min_size=1),
    reachable=targets,
    warm=targets,
    busy=st.dictionaries(st.sampled_from("abcd"), st.integers(0, 9)),
)
def test_who_has_the_model_and_answers_is_always_preferred(
    having: list[str], reachable: set[str], warm: set[str], busy: dict[str, int]
) -> None:
    target = pick_target(having, reachable=reachable, warm=warm, busy=busy)

    assert target in having
    assert target in reachable or reachable.isdisjoint(having)


@pytest.mark.parametrize(
    ("entry", "embeds"),
    [
        ({"capabilities": ["embedding"]}, True),
        ({"capabilities": ["embedding", "vision"]}, True),
        ({"capabilities": ["completion"]}, False),
        # Such a model is loaded for chats, too.
        ({"capabilities": ["completion", "embedding"]}, False),
        ({"capabilities": ["tools"]}, False),
        ({"capabilities": []}, None),
        ({"capabilities": None}, None),
        ({"capabilities": "embedding"}, None),
        ({}, None),
    ],
)
def test_a_list_says_which_models_are_for_embeddings(
    entry: dict[str, Any], embeds: bool | None
) -> None:
    assert listed(entry).embeds is embeds


def test_an_entry_of_a_list_may_lack_all_that_is_read() -> None:
    assert listed({}) == Listed(is_remote=False, digest="", embeds=None)
    assert listed({"remote_host": "https://ollama.com"}).is_remote
    assert listed({"digest": "abc"}).digest == "abc"


@pytest.mark.parametrize(
    ("answer", "embeds"),
    [
        ({"capabilities": ["embedding"]}, True),
        ({"capabilities": ["completion"], "model_info": {"bert.pooling_type": 1}}, False),
        ({"model_info": {"nomic-bert.pooling_type": 1}}, True),
        ({"model_info": {"llama.context_length": 4096}}, False),
        ({"model_info": None}, False),
        ({}, False),
    ],
)
def test_a_model_is_described_as_one_for_embeddings(answer: dict[str, Any], embeds: bool) -> None:
    assert finished(embeds_by_show(json.dumps(answer).encode())) is embeds
