"""The union of the lists of several targets."""

import json

import pytest

from foreman.core.lists import List, read_list, union_of
from foreman.core.steps import finished

ONE = b'{"object":"list","models":[{"name":"a","at":"one"},{"name":"b","size":1e3}]}'
TWO = b'{"object":"x","models":[{"name":"c"},5,{"name":"a","at":"two"}],"more":1}'


def read(answer: bytes) -> List:
    return finished(read_list(answer, "models"))


def union(*answers: bytes, is_each_once: bool = True) -> bytes:
    return b"".join(union_of(list(map(read, answers)), "models", is_each_once=is_each_once))


def test_each_model_is_there_once_as_the_first_target_lists_it() -> None:
    merged = json.loads(union(ONE, TWO))

    assert merged["object"] == "list"
    assert "more" not in merged
    assert sorted(merged["models"], key=lambda entry: str(entry["name"])) == [
        {"name": "a", "at": "one"},
        {"name": "b", "size": 1e3},
        {"name": "c"},
    ]


def test_what_is_loaded_is_there_for_each_target() -> None:
    merged = json.loads(union(ONE, TWO, is_each_once=False))

    assert [entry["name"] for entry in merged["models"]] == ["a", "b", "c", "a"]


def test_the_entries_are_the_bytes_that_the_target_sent() -> None:
    entry = b'{"name" : "caf\\u00e9", "size":1.50e3, "half":"\\ud800"}'

    assert entry in union(b'{"models":[' + entry + b"]}")


@pytest.mark.parametrize("answer", [b"{}", b'{"models":null}', b'{"models":[]}'])
def test_a_list_without_a_model_is_an_empty_one(answer: bytes) -> None:
    assert union(answer) == b'{"models":[]}'


def test_a_long_list_comes_in_pieces() -> None:
    entries = [{"name": f"m:{number}", "x": "x" * 1000} for number in range(500)]

    pieces = list(union_of([read(json.dumps({"models": entries}).encode())], "models",
                           is_each_once=True))  # fmt: skip

    assert json.loads(b"".join(pieces)) == {"models": entries}
    assert max(map(len, pieces)) < 70_000
