"""Headers on their way to a target and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreman.core import headers as header_rules

HOP_BY_HOP = [
    "Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Connection", "TE", "Trailer",
    "Transfer-Encoding", "Upgrade",
]  # fmt: skip
CREDENTIALS = [
    "Authorization", "Cookie", "Proxy-Authorization", "X-Api-Key", "Api-Key", "X-Auth-Token",
    "X-Forwarded-Access-Token", "Cf-Access-Jwt-Assertion", "Ocp-Apim-Subscription-Key",
    "X-Goog-Api-Key", "X-Amz-Security-Token", "X-Csrf-Token", "X-My-Own-Secret", "Password",
    "X-Stainless-Secret", "Anthropic-Api-Key", "OpenAI-Organization", "Signature", "Forwarded",
    "X-Forwarded-For", "X-Real-Ip", "X-Foreman-Client", "Idempotency-Key", "Baggage", "Referer",
]  # fmt: skip
NEGOTIATION = [
    "Accept-Encoding", "Accept-Charset", "Range", "If-Range", "If-Match", "If-None-Match",
    "If-Modified-Since", "If-Unmodified-Since", "Expect", "Prefer", "Cache-Control", "Pragma",
    "Want-Digest", "A-IM",
]  # fmt: skip
NOT_FOR_CLIENTS = [
    "X-Accel-Redirect", "X-Accel-Buffering", "X-Sendfile", "Set-Cookie", "Location", "Refresh",
    "Access-Control-Allow-Origin", "Access-Control-Allow-Credentials", "Server", "Date", "Link",
    "X-Foreman-Job-Id", "X-Foreman-Target", "Strict-Transport-Security", "Alt-Svc", "Vary",
    "Content-Security-Policy", "Clear-Site-Data", "Www-Authenticate", "Content-Disposition",
    "Service-Worker-Allowed", "ETag", "Accept-Ranges", "Content-Range", "X-Anything",
]  # fmt: skip
KEPT = ("User-Agent", "client")
PASSED = ("Retry-After", "7")

names = st.sampled_from(["Accept", "Anthropic-Beta", "OpenAI-Beta", "User-Agent", "Content-Type"])
pairs = st.lists(st.tuples(names, st.text(max_size=5)), max_size=8)


def spellings(name: str) -> list[tuple[str, str]]:
    return [(name, "x"), (name.lower(), "x"), (name.upper(), "x")]


@pytest.mark.parametrize("name", HOP_BY_HOP)
def test_a_header_of_one_connection_stops_here_in_both_directions(name: str) -> None:
    assert header_rules.for_target([*spellings(name), KEPT]) == [KEPT]
    assert header_rules.of_target([*spellings(name), PASSED]) == [PASSED]


def test_a_header_that_connection_names_belongs_to_that_connection() -> None:
    named = [("Connection", "close, X-Mine"), ("X-Mine", "x")]

    assert header_rules.for_target([*named, KEPT]) == [KEPT]
    assert header_rules.of_target([*named, PASSED]) == [PASSED]


@pytest.mark.parametrize("name", CREDENTIALS)
def test_a_credential_never_reaches_a_target(name: str) -> None:
    assert header_rules.for_target([*spellings(name), KEPT]) == [KEPT]


@pytest.mark.parametrize("name", NEGOTIATION)
def test_what_negotiates_the_form_of_an_answer_never_reaches_a_target(name: str) -> None:
    assert header_rules.for_target([*spellings(name), KEPT]) == [KEPT]


@pytest.mark.parametrize("name", ["Host", "Origin"])
def test_host_and_origin_are_settled_by_foreman(name: str) -> None:
    assert header_rules.for_target([*spellings(name), KEPT]) == [KEPT]


@pytest.mark.parametrize("name", NOT_FOR_CLIENTS)
def test_a_target_does_not_speak_to_clients_and_proxies_in_foremans_name(name: str) -> None:
    given = [*spellings(name), PASSED]

    assert header_rules.of_target(given) == [PASSED]
    assert header_rules.for_client(given) == [PASSED]


def test_the_length_of_a_body_is_told_anew_to_the_target_and_as_it_was_to_the_client() -> None:
    length = ("Content-Length", "5")

    assert header_rules.for_target([length]) == []
    assert header_rules.for_client([length]) == [length]


def test_of_two_lengths_or_types_the_first_counts() -> None:
    given = [("Content-Type", "a/b"), ("content-type", "c/d"), ("Content-Length", "5")]

    assert header_rules.of_target([*given, ("Content-Length", "6")]) == [given[0], given[2]]


@pytest.mark.parametrize(
    "name",
    ["Content-Type", "Content-Encoding", "Accept", "X-Stainless-Lang", "Traceparent",
     "Anthropic-Version", "OpenAI-Beta", "X-Request-Id"],
)  # fmt: skip
def test_what_describes_the_body_or_the_client_goes_through(name: str) -> None:
    assert header_rules.for_target([(name, "x")]) == [(name, "x")]


@pytest.mark.parametrize(
    "name", ["Content-Type", "Content-Encoding", "Cache-Control", "Retry-After", "X-Should-Retry"]
)
def test_what_describes_the_answer_or_says_when_to_retry_goes_through(name: str) -> None:
    assert header_rules.of_target([(name, "x")]) == [(name, "x")]


@given(given=pairs)
def test_duplicates_are_kept_in_their_order_on_the_way_to_a_target(
    given: list[tuple[str, str]],
) -> None:
    assert header_rules.for_target(given) == given


def test_a_change_that_foreman_made_is_named_to_the_client() -> None:
    changed = ("X-Foreman-Changed", "keep_alive")

    assert header_rules.of_target([changed, PASSED]) == [PASSED]
    assert header_rules.for_client([changed, PASSED]) == [PASSED, changed]


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


@pytest.mark.parametrize("query", ["", "ts=1", "beta=true", "ts=1764000000&beta=false"])
def test_what_ollamas_own_clients_put_into_a_query_goes_through(query: str) -> None:
    assert header_rules.query_for_target(query, "/api/chat") == query


@pytest.mark.parametrize(
    "query",
    ["key=s", "api_key=s", "access_token=s", "token=s", "model=b", "ts=secret", "beta=secret", "ts",
     "TS=1", "ts=%31", "ts=1;key=s", "ts=" + "1" * 40, "%74s=1", "ts=1%26key=s", "ts=\u0661"],
)  # fmt: skip
def test_no_other_part_of_a_query_goes_through(query: str) -> None:
    assert header_rules.query_for_target(query, "/api/chat") == ""
    assert header_rules.query_for_target(f"{query}&ts=1&{query}", "/api/chat") == "ts=1"


def test_the_form_of_a_transcription_may_have_its_fields_in_the_query() -> None:
    query = "model=b&key=s&language=en&api_key=s&response_format=text&prompt=a%20b&%6dodel=c"

    passed = header_rules.query_for_target(query, "/v1/audio/transcriptions")

    assert passed == "model=b&language=en&response_format=text&prompt=a%20b"
