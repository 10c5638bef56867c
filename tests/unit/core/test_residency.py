"""Residencies: which requests a loaded model can serve without a swap, and their queues."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreman.core.bodies import look
from foreman.core.queues import Residency, canonical_name, residency_of

RELOADING = [
    "num_ctx", "num_batch", "num_gpu", "main_gpu", "num_thread", "draft_num_predict",
]  # fmt: skip


def residency(**body: Any) -> Residency:
    """The residency of a request body, as the web process finds it."""
    looked = look(json.dumps({"model": "m"} | body).encode(), "/api/chat")
    assert looked
    model = canonical_name(looked.model)
    assert model
    return residency_of(model, looked.runner_options)


@pytest.mark.parametrize("option", RELOADING)
def test_another_value_of_a_runner_option_is_another_residency(option: str) -> None:
    residencies = {residency(options={option: 1}), residency(options={option: 2}), residency()}

    assert len(residencies) == 3


def test_use_mmap_and_shift_reload_the_model_too() -> None:
    mapped = {residency(options={"use_mmap": value}) for value in (True, False)}
    shifted = {residency(shift=value) for value in (True, False)}

    assert (len(mapped), len(shifted)) == (2, 2)


@pytest.mark.parametrize(
    "options", [{"temperature": 0.1}, {"seed": 7, "top_p": 1, "stop": ["x"]}, {"NUM_CTX": 5}, {}]
)
def test_what_does_not_reload_the_model_is_the_same_residency(options: dict[str, Any]) -> None:
    assert residency(options=options) == residency()


def test_a_null_is_the_same_as_an_absent_option() -> None:
    nulls = [
        residency(options=None),
        residency(options={"num_ctx": None}),
        residency(shift=None),
    ]

    assert nulls == [residency()] * 3


def test_the_order_of_the_options_does_not_matter() -> None:
    one = residency(options={"num_ctx": 1, "num_gpu": 2})
    other = residency(options={"num_gpu": 2, "num_ctx": 1})

    assert one == other


def test_the_same_number_in_another_spelling_is_the_same_residency() -> None:
    spelled = [
        look(b'{"model":"m","options":{"num_ctx":%b}}' % number, "/api/chat")
        for number in (b"4096", b"4096.0", b"4.096e3")
    ]

    assert len({residency_of("m:latest", each.runner_options) for each in spelled if each}) == 1


def test_a_num_gpu_of_minus_one_leaves_the_choice_to_ollama_and_reloads_nothing() -> None:
    assert residency(options={"num_gpu": -1}) == residency()


def test_the_context_that_targets_give_anyway_is_no_residency_of_its_own() -> None:
    named = [residency_of("m:latest", {"num_ctx": size}, num_ctx=8192) for size in (8192, 8192.0)]

    assert named == [residency_of("m:latest", {}, num_ctx=8192)] * 2
    assert named[0].queue == "model.m%3Alatest"


@pytest.mark.parametrize("size", [4096, 16384])
def test_another_context_than_targets_give_is_a_residency_of_its_own(size: int) -> None:
    other = residency_of("m:latest", {"num_ctx": size}, num_ctx=8192)

    assert other == residency_of("m:latest", {"num_ctx": size})
    assert other != residency_of("m:latest", {})


values = st.integers(-1, 200_000) | st.booleans()
options = st.dictionaries(st.sampled_from([*RELOADING, "use_mmap", "shift"]), values, max_size=4)
word = st.text("abcdefghijklmnopqrstuvwxyz0123456789_-.", min_size=1, max_size=80)
models = st.one_of(
    word,
    st.tuples(word, word).map(":".join),
    st.tuples(word, word).map("/".join),
    st.tuples(st.text("ab.:-", max_size=350), word, word).map("/".join),
)
residencies = st.builds(
    lambda name, chosen: residency_of(canonical_name(name) or "m:latest", chosen), models, options
)


@given(residency=residencies)
def test_a_queue_name_fits_every_broker(residency: Residency) -> None:
    name = residency.queue

    assert len(name.encode()) <= 255
    assert re.fullmatch(r"model\.[A-Za-z0-9._~%-]+", name)


@given(known=st.lists(residencies, max_size=8, unique=True))
def test_distinct_residencies_never_share_a_queue(known: list[Residency]) -> None:
    assert len({each.queue for each in known}) == len(known)


def test_names_that_differ_only_at_their_end_have_queues_of_their_own() -> None:
    host = "h" * 350
    long = {Residency(f"{host}/n/m:{tag}").queue for tag in ("a", "b")}

    assert len(long) == 2


def test_a_name_that_imitates_the_queue_of_another_residency_gets_another_queue() -> None:
    own = residency_of("m:latest", {"num_ctx": 1})
    imitation = canonical_name("m:latest" + own.queue.removeprefix("model.m%3Alatest"))

    # A "~" is in no model's name, so there is nothing to imitate with.
    assert imitation is None
    assert "~" in own.queue


def test_every_context_size_up_to_128k_has_a_queue_of_its_own() -> None:
    sizes = range(1, 131_073)

    assert len({residency_of("m:latest", {"num_ctx": size}).queue for size in sizes}) == len(sizes)
