"""One context size for all: one value becomes another, every other byte is as it was sent."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from foreman.core import reshape
from foreman.core.bodies import find_places
from foreman.core.reading.kinds import folded
from foreman.core.reading.scan import Unreadable
from foreman.core.reading.tables import CHAT
from foreman.core.steps import finished

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(-1e9, 1e9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)
# Of a field that Ollama knows any value would be of the wrong type.
names = st.text().filter(lambda name: folded(name) not in CHAT.folds)
bodies = st.dictionaries(names, plain, max_size=5)
sizes = st.none() | st.integers(-5, 20_000) | st.floats(0, 20_000) | st.text(max_size=3)
options = st.none() | st.dictionaries(st.sampled_from(["num_ctx", "NUM_CTX", "seed"]), sizes)
spaces = st.text(" \t\r\n", max_size=3)
endings = st.sampled_from([b"", b"\n", b"garbage", b"{}", b"\xff"])


def with_num_ctx(body: bytes, limit: int) -> bytes | None:
    """The change of a body that Ollama would accept; None for any other, too."""
    try:
        changed = reshape.with_num_ctx(body, finished(find_places(body, CHAT)), limit)
    except Unreadable:
        return None
    if changed is None:
        return None
    assert len(changed) == len(bytes(changed))
    return bytes(changed)


def without(body: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in body.items() if folded(key) != name}


@pytest.mark.parametrize(
    ("body", "sent"),
    [
        (b'{"model":"m"}', b'{"options":{"num_ctx":8192},"model":"m"}'),
        (b" {\n} ", b' {"options":{"num_ctx":8192}\n} '),
        (b'{"options":{}}', b'{"options":{"num_ctx":8192}}'),
        (b'{"options": { }}', b'{"options": {"num_ctx":8192 }}'),
        (b'{"options":null}', b'{"options":{"num_ctx":8192}}'),
        (b'{"options":{"seed":1}}', b'{"options":{"num_ctx":8192,"seed":1}}'),
        (b'{"options":{"num_ctx":2048}}', b'{"options":{"num_ctx":8192}}'),
        (b'{"options":{"num_ctx" :\t-1 }}', b'{"options":{"num_ctx" :\t8192 }}'),
        (b'{"options":{"num_ctx":null}}', b'{"options":{"num_ctx":8192}}'),
        (b'{"options":{"num_ctx":4.096e3}}', b'{"options":{"num_ctx":8192}}'),
        (b'{"x":%b}' % (b"9" * 5000), b'{"options":{"num_ctx":8192},"x":%b}' % (b"9" * 5000)),
    ],
)
def test_less_than_the_limit_or_none_becomes_the_limit(body: bytes, sent: bytes) -> None:
    assert with_num_ctx(body, 8192) == sent


@pytest.mark.parametrize("size", [b"8192", b"8192.0", b"8.192e3", b"8193", b"131072", b"1e999"])
def test_the_limit_itself_and_what_is_larger_stay_as_sent(size: bytes) -> None:
    assert with_num_ctx(b'{"options":{"num_ctx":%b}}' % size, 8192) is None


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"null", b"[]", b'"options"', b'{"options":{"num_ctx":1}', b"{'options':{}}",
        b'{"options":[]}', b'{"options":"num_ctx"}', b'{"options":{"num_ctx":"2048"}}',
        b'{"options":{"num_ctx":true}}', b'{"options":{"num_ctx":[1]}}',
        b'{"options":{"num_ctx":NaN}}', b'{"options":{"num_ctx":-1e30}}',
        b'{"options":{"num_ctx":-1e999}}', b'{"options":{"num_ctx":-%b}}' % (b"9" * 30),
        b'{"model":"m",}', b'{"model":"m" "x":1}', b'{"model" "m"}', b'{"x":"\n"}',
        b"\xef\xbb\xbf{}", b"\x28\xb5\x2f\xfd\x04\x00", b'{"x":' + b"[" * 100_000,
        '{"model":"m"}'.encode("utf-16"),
    ],
)  # fmt: skip
def test_a_body_that_is_not_read_with_certainty_stays_as_sent(body: bytes) -> None:
    assert with_num_ctx(body, 8192) is None


@pytest.mark.parametrize(
    "key", ["options", "OPTIONS", "Options", "option\N{LATIN SMALL LETTER LONG S}", "\\u006fptions"]
)
def test_the_key_of_the_options_may_be_written_in_any_case(key: str) -> None:
    body = f'{{"{key}":{{"num_ctx":1}},"prompt":"é"}}'

    assert with_num_ctx(body.encode(), 8192) == body.replace("1", "8192", 1).encode()


def test_the_names_of_options_have_one_spelling() -> None:
    sent = with_num_ctx(b'{"options":{"NUM_CTX":9999}}', 8192)

    assert sent == b'{"options":{"num_ctx":8192,"NUM_CTX":9999}}'


@pytest.mark.parametrize(
    ("body", "sent"),
    [
        (b'{"options":{"num_ctx":1,"num_ctx":2}}', b'{"options":{"num_ctx":1,"num_ctx":8192}}'),
        (b'{"options":{"num_ctx":9999,"num_ctx":2}}',
         b'{"options":{"num_ctx":9999,"num_ctx":8192}}'),
        (b'{"options":{"num_ctx":2,"num_ctx":9999}}', None),
        (b'{"options":{"num_ctx":1},"OPTIONS":{"num_ctx":2}}',
         b'{"options":{"num_ctx":1},"OPTIONS":{"num_ctx":8192}}'),
        # Go reads a second object into the map of the first.
        (b'{"options":{"num_ctx":9999},"options":{"seed":1}}', None),
        (b'{"options":{"num_ctx":1},"options":{"seed":1}}',
         b'{"options":{"num_ctx":8192},"options":{"seed":1}}'),
        (b'{"options":{"num_ctx":9999},"options":null,"options":{}}',
         b'{"options":{"num_ctx":9999},"options":null,"options":{"num_ctx":8192}}'),
        (b'{"options":{"seed":1},"options":null}', None),
    ],
)  # fmt: skip
def test_of_several_the_one_that_counts_is_changed(body: bytes, sent: bytes | None) -> None:
    assert with_num_ctx(body, 8192) == sent


def test_bytes_that_are_no_utf_8_come_out_as_they_went_in() -> None:
    sent = with_num_ctx(b'{"\xff":"\xc3","prompt":"\xf0\x9f\x98\x80"}\xfe', 8192)

    assert sent == (b'{"options":{"num_ctx":8192},"\xff":"\xc3","prompt":"\xf0\x9f\x98\x80"}\xfe')


@given(
    body=bodies, chosen=options, limit=st.integers(1, 20_000), before=spaces, after=endings,
    is_ascii=st.booleans(), indent=st.sampled_from([None, 1]),
)  # fmt: skip
def test_any_body_means_the_same_but_for_its_num_ctx(
    body: dict[str, Any], chosen: dict[str, Any] | None, limit: int, before: str, after: bytes,
    is_ascii: bool, indent: int | None,
) -> None:  # fmt: skip
    asked = without(body, "options") | {"options": chosen}
    text = before + json.dumps(asked, ensure_ascii=is_ascii, indent=indent)
    size = (chosen or {}).get("num_ctx")

    sent = with_num_ctx(text.encode() + after, limit)

    if isinstance(size, str) or (size is not None and size >= limit):
        assert sent is None
    else:
        assert sent is not None
        assert sent.endswith(after)
        changed = json.loads(sent[: len(sent) - len(after)])
        assert changed == asked | {"options": (chosen or {}) | {"num_ctx": limit}}


@given(raw=st.binary(max_size=100), limit=st.integers(1, 9))
@example(raw=b'{"":true}', limit=1)  # it may be an object, too
def test_no_bytes_break_the_change(raw: bytes, limit: int) -> None:
    sent = with_num_ctx(raw, limit)
    assert sent is None or with_num_ctx(sent, limit) is None


def test_once_changed_a_body_is_not_changed_again() -> None:
    sent = with_num_ctx(b'{"model":"m"}', 8192)

    assert sent is not None
    assert with_num_ctx(sent, 8192) is None
