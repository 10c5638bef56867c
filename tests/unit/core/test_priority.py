"""The class of a synchronous request, by its header and by its body."""

import json

import pytest
import zstandard

from foreman.core import headers as header_rules
from foreman.core.bodies import VALUE_LIMIT_BYTES, look
from foreman.core.priority import class_of, named_class
from foreman.core.queues import JobClass
from foreman.errors import RequestRefused

CHAT, RESPONSES = "/v1/chat/completions", "/v1/responses"
KNOWN = [CHAT, RESPONSES]
UNKNOWN = [
    "/v1/completions", "/v1/messages", "/v1/embeddings", "/api/chat", "/api/generate", "/api/embed",
]  # fmt: skip


def by_body(members: bytes, endpoint: str = CHAT) -> JobClass:
    looked = look(b'{"model":"m",%b}' % members, endpoint)
    assert looked is not None
    return class_of(None, looked)


@pytest.mark.parametrize("name", ["X-Foreman-Priority", "x-foreman-priority"])
def test_the_header_names_the_class(name: str) -> None:
    assert named_class([("Accept", "*/*"), (name, "batch")]) is JobClass.BATCH
    assert named_class([(name, "interactive")]) is JobClass.INTERACTIVE


def test_without_the_header_nothing_is_named() -> None:
    assert named_class([("X-Foreman-Target", "batch")]) is None


@pytest.mark.parametrize("value", ["", "Batch", "low", "flex", "batch,batch", "interactive "])
def test_any_other_value_is_refused_with_those_that_are_allowed(value: str) -> None:
    with pytest.raises(RequestRefused, match="X-Foreman-Priority must be interactive or batch"):
        named_class([("X-Foreman-Priority", value)])


def test_the_header_is_neither_stored_nor_sent() -> None:
    assert header_rules.for_target([("X-Foreman-Priority", "batch")]) == []


def test_somebody_waits_where_nothing_is_said() -> None:
    assert class_of(None, None) is JobClass.INTERACTIVE
    assert by_body(b'"stream":true') is JobClass.INTERACTIVE


@pytest.mark.parametrize("endpoint", KNOWN)
def test_flex_is_batch(endpoint: str) -> None:
    assert by_body(b'"service_tier":"flex"', endpoint) is JobClass.BATCH


@pytest.mark.parametrize("endpoint", UNKNOWN)
def test_other_routes_have_no_service_tier(endpoint: str) -> None:
    assert by_body(b'"service_tier":"flex"', endpoint) is JobClass.INTERACTIVE


@pytest.mark.parametrize("endpoint", KNOWN)
@pytest.mark.parametrize(
    "value",
    [
        b'"auto"', b'"default"', b'"priority"', b'"Flex"', b'"flex "', b'""', b'"\xff"', b"null",
        b"true", b"5", b"1e999", b"[]", b'["flex"]', b'{"flex":"flex"}',
        b'"' + b"x" * (VALUE_LIMIT_BYTES + 1) + b'"',
        b"[" + b"1," * VALUE_LIMIT_BYTES + b"1]",
    ],
)  # fmt: skip
def test_any_other_tier_says_nothing_and_is_never_an_error(endpoint: str, value: bytes) -> None:
    assert by_body(b'"service_tier":' + value, endpoint) is JobClass.INTERACTIVE


@pytest.mark.parametrize(
    "members",
    [
        b'"service_tier":"auto","service_tier":"flex"',
        b'"service_tier":"flex","Service_Tier":null,"SERVICE_TIER":"flex"',
        b'"\\u0073ervice_tier":"\\u0066\\u006c\\u0065\\u0078"',
        '"\N{LATIN SMALL LETTER LONG S}ervice_tier":"flex"'.encode(),
        b' "service_tier" : "flex" ',
    ],
)
def test_the_last_one_counts_however_it_is_written(members: bytes) -> None:
    assert by_body(members) is JobClass.BATCH


@pytest.mark.parametrize(
    "members",
    [
        b'"service_tier":"flex","service_tier":"auto"',
        b'"service_tier":"flex","service_tier":null',
        b'"service_tier":"flex","service_tier":{}',
        b'"metadata":{"service_tier":"flex"}',
        b'"messages":[{"role":"user","service_tier":"flex"}]',
    ],
)
def test_an_earlier_or_inner_one_does_not_count(members: bytes) -> None:
    assert by_body(members) is JobClass.INTERACTIVE


def test_the_tier_of_a_packed_body_counts() -> None:
    body = json.dumps({"model": "m", "service_tier": "flex"}).encode()

    assert class_of(None, look(zstandard.compress(body), CHAT, content_encoding="zstd")) == "batch"


def test_the_header_wins_over_the_tier() -> None:
    looked = look(b'{"model":"m","service_tier":"flex"}', CHAT)

    assert class_of(JobClass.INTERACTIVE, looked) is JobClass.INTERACTIVE
    assert class_of(JobClass.BATCH, look(b'{"model":"m"}', CHAT)) is JobClass.BATCH
