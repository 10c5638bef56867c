"""Identifiers: UUIDs of version 7, in the order of their making."""

import time
from uuid import RFC_4122

import pytest

from foreman.ids import new_id, parse_id
from tests.stack import wait_for


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def test_an_id_is_a_uuid_of_version_7() -> None:
    made = [new_id() for _ in range(1000)]

    assert {(each.version, each.variant) for each in made} == {(7, RFC_4122)}


def test_an_id_begins_with_the_millisecond_of_its_making() -> None:
    before = now_ms()
    made = new_id().int >> 80

    assert before <= made <= now_ms()


def test_ids_sort_by_the_time_they_were_made() -> None:
    made = []
    for _ in range(20):
        made.append(new_id())
        last = now_ms()
        wait_for(lambda last=last: now_ms() > last)  # type: ignore[misc]  # binds the loop's value

    assert made == sorted(made)
    assert [str(each) for each in made] == sorted(str(each) for each in made)


def test_no_two_ids_are_the_same() -> None:
    assert len({new_id() for _ in range(100_000)}) == 100_000


def test_an_id_is_read_back_from_its_text() -> None:
    made = new_id()

    assert parse_id(str(made)) == made
    assert parse_id(str(made).upper()) == made


@pytest.mark.parametrize("text", ["", "x", "1", "../jobs", "0189-0000", "g" * 32, "0" * 31, "\0"])
def test_what_spells_no_id_is_none(text: str) -> None:
    assert parse_id(text) is None
