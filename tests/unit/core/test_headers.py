"""Headers on their way to a target and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreman.core import headers as header_rules

HOP_BY_HOP = [
    "Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Connection", "TE", "Trailer",
    "Transfer-Encoding", "Upgrade",
]  # fmt: skip
CREDENTIALS = ["Authorization", "Cookie", "Proxy-Authorization", "X-Api-Key"]
KEPT = ("X-Kept", "yes")

names = st.sampled_from(["Accept", "X-One", "X-Two", "User-Agent", "Content-Type"])
pairs = st.lists(st.tuples(names, st.text(max_size=5)), max_size=8)


def spellings(name: str) -> list[tuple[str, str]]:
    return [(name, "x"), (name.lower(), "x"), (name.upper(), "x")]


@pytest.mark.parametrize("name", HOP_BY_HOP)
def test_a_header_of_one_connection_stops_here_in_both_directions(name: str) -> None:
    given = [*spellings(name), KEPT]

    assert header_rules.for_target(given) == [KEPT]
    assert header_rules.for_client(given) == [KEPT]


def test_a_header_that_connection_names_belongs_to_that_connection() -> None:
    given = [("Connection", "close, X-Mine"), ("X-Mine", "x"), KEPT]

    assert header_rules.for_target(given) == [KEPT]
    assert header_rules.for_client(given) == [KEPT]


@pytest.mark.parametrize("name", CREDENTIALS)
def test_a_credential_never_reaches_a_target(name: str) -> None:
    assert header_rules.for_target([*spellings(name), KEPT]) == [KEPT]


@pytest.mark.parametrize("name", ["Host", "Origin"])
def test_host_and_origin_are_settled_by_foreman(name: str) -> None:
    assert header_rules.for_target([*spellings(name), KEPT]) == [KEPT]


def test_the_length_of_a_body_is_told_anew_to_the_target_and_as_it_was_to_the_client() -> None:
    length = ("Content-Length", "5")

    assert header_rules.for_target([length]) == []
    assert header_rules.for_client([length]) == [length]


@pytest.mark.parametrize("name", ["Content-Type", "Content-Encoding", "Accept", "X-Stainless-Lang"])
def test_what_describes_the_body_or_the_client_goes_through(name: str) -> None:
    assert header_rules.for_target([(name, "x")]) == [(name, "x")]


@given(given=pairs)
def test_duplicates_are_kept_in_their_order(given: list[tuple[str, str]]) -> None:
    assert header_rules.for_target(given) == given
    assert header_rules.for_client(given) == given


def test_a_header_is_found_in_any_case_and_the_first_one_counts() -> None:
    given = [("X-A", "1"), ("CONTENT-type", "first"), ("Content-Type", "second")]

    assert header_rules.find(given, "content-type") == "first"
    assert header_rules.find(given, "absent") is None


def test_a_change_is_named_in_a_header_of_its_own() -> None:
    assert header_rules.with_change([KEPT], "keep_alive") == [
        KEPT,
        ("X-Foreman-Changed", "keep_alive"),
    ]


def test_further_changes_are_named_behind_the_first_in_one_header() -> None:
    told = [("x-foreman-changed", "keep_alive"), KEPT]

    assert header_rules.with_change(told, "num_ctx=8192") == [
        KEPT,
        ("X-Foreman-Changed", "keep_alive, num_ctx=8192"),
    ]


def test_without_a_change_the_headers_are_as_they_were() -> None:
    assert header_rules.with_change([KEPT], "") == [KEPT]
