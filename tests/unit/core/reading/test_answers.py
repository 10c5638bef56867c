"""Answers of targets, read in steps: what is found is what `json` finds, and no step is long."""

import json
import time
from collections.abc import Generator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreman.core.embedding import embeds_by_show
from foreman.core.lists import models_in, read_list
from foreman.core.reading.answers import (
    ITEMS_LIMIT,
    VALUES_LIMIT,
    built,
    items_of,
    members_of,
    raw,
)
from foreman.core.reading.scan import Unreadable
from foreman.core.steps import finished
from foreman.core.target_words import error_in
from tests.fakes.hostile_lists import brackets

MIB = 1024 * 1024
LONGEST_STEP_S = 0.05

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(-1e9, 1e9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)
objects = st.dictionaries(st.text(), plain, max_size=6)
layouts = st.sampled_from([None, 1, "\t"])

HOSTILE = {
    "empty arrays": brackets(4 * MIB),
    "empty arrays in a model": b'{"models":[{"name":"m","x":[' + b"[]," * MIB + b"1]}]}",
    "models": b'{"models":[' + b'{"name":"m"},' * (MIB // 4) + b'{"name":"m"}]}',
    "members": b"{" + b'"x":1,' * (MIB // 2) + b'"models":[]}',
    "depth": b'{"models":' + b"[" * MIB + b"]" * MIB + b"}",
    "depth of one model": b'{"models":[{"name":' + b"[" * 30_000 + b"]" * 30_000 + b"}]}",
    "digits": b'{"models":[{"name":"m","size":' + b"9" * (4 * MIB) + b"}]}",
    "a name": b'{"models":[{"name":"' + b"a" * (4 * MIB) + b'"}]}',
    "a key": b'{"' + b"k" * (4 * MIB) + b'":1,"models":[]}',
    "a string that does not end": b'{"models":["' + b"a" * (4 * MIB),
    "spaces": b'{"models":' + b" " * (4 * MIB) + b"[ }",
}


def longest_step_s(steps: Generator[None, None, Any]) -> float:
    """The CPU time of the longest step, until the end or until it is Unreadable."""
    longest = 0.0
    while True:
        began = time.thread_time()
        try:
            next(steps)
        except (StopIteration, Unreadable):
            return max(longest, time.thread_time() - began)
        longest = max(longest, time.thread_time() - began)


@given(objects, layouts)
def test_the_members_of_an_object_are_those_that_json_finds(
    given_: dict[str, Any], indent: str | int | None
) -> None:
    answer = json.dumps(given_, indent=indent).encode()

    members = finished(members_of(answer))

    assert {name: json.loads(raw(answer, at)) for name, at in members.items()} == given_
    assert {name: built(answer, at) for name, at in members.items()} == given_


@given(st.lists(plain, max_size=6), layouts)
def test_the_items_of_an_array_are_those_that_json_finds(
    given_: list[Any], indent: str | int | None
) -> None:
    answer = json.dumps({"x": given_}, indent=indent).encode()

    items = finished(items_of(answer, finished(members_of(answer))["x"]))

    assert [built(answer, at) for at in items] == given_


@pytest.mark.parametrize(
    "answer",
    [
        b"", b" ", b"[]", b"null", b"{", b'{"a"', b'{"a":', b'{"a":1', b'{"a":1,}', b'{,"a":1}',
        b'{"a":1}x', b'{"a":1}{}', b'{"a" 1}', b'{a:1}', b'{"a":01}', b'{"a":nul}', b'{"a":"\x01"}',
    ],
)  # fmt: skip
def test_what_is_no_object_is_unreadable(answer: bytes) -> None:
    with pytest.raises(Unreadable):
        finished(members_of(answer))


def test_of_two_members_with_one_name_the_last_counts() -> None:
    answer = b'{"a":1,"\\u0061":2}'

    assert [built(answer, at) for at in finished(members_of(answer)).values()] == [2]


@pytest.mark.parametrize(
    "answer",
    [
        b'{"x":[' + b"1," * VALUES_LIMIT + b"1]}",
        b'{"models":[' + b"1," * ITEMS_LIMIT + b"1]}",
        b'{"models":[{"name":"' + b"a" * 70_000 + b'"}]}',
    ],
    ids=["values", "entries", "a long one"],
)
def test_a_list_that_is_beyond_any_use_is_unreadable(answer: bytes) -> None:
    with pytest.raises(Unreadable):
        finished(models_in(answer))


def test_as_many_models_as_a_target_may_have_are_read() -> None:
    entry = {"name": "m:1", "digest": "a" * 64, "details": {"families": ["x", "y"], "parent": ""}}
    entries = [entry | {"name": f"m:{number}"} for number in range(4_000)]

    models = finished(models_in(json.dumps({"models": entries}).encode()))

    assert len(models) == 4_000


@pytest.mark.parametrize("answer", HOSTILE.values(), ids=HOSTILE.keys())
def test_no_step_is_long_whatever_a_target_sends(answer: bytes) -> None:
    for read in (models_in, embeds_by_show, error_in):
        assert longest_step_s(read(answer)) < LONGEST_STEP_S
    assert longest_step_s(read_list(answer, "models")) < LONGEST_STEP_S
