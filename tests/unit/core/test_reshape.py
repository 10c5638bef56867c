"""A keep_alive of zero left out, which routes have a body changed, and what it costs."""

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreman.core import reshape
from foreman.core.bodies import find_places, look
from foreman.core.reading.kinds import folded
from foreman.core.reading.scan import Unreadable
from foreman.core.reading.tables import CHAT
from foreman.core.reading.tables import GENERATE as GENERATE_TABLE
from foreman.core.reshape import kept_loaded, unloading
from foreman.core.steps import finished

MIB = 1024 * 1024
GENERATE, MODEL = "/api/generate", b'"model":"m",'
KEEP_ALIVE_ZERO = b'{"model":"m","prompt":"hi","messages":[{}],"keep_alive":0}'

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(-1e9, 1e9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)
# Of a field that Ollama knows any value would be of the wrong type.
names = st.text().filter(lambda name: folded(name) not in GENERATE_TABLE.folds)
bodies = st.dictionaries(names, plain, max_size=5)
endings = st.sampled_from([b"", b"\n", b"garbage", b"{}", b"\xff"])


def without_keep_alive(body: bytes) -> bytes | None:
    """The change of a body that names no model, as if it named one; None for what is no body."""
    named = body.replace(b"{", b"{" + MODEL, 1)
    looked = look(named, GENERATE)
    sent = None if looked is None else reshape.without_keep_alive(named, looked)
    return None if sent is None else bytes(sent).replace(MODEL, b"", 1)


def with_num_ctx(body: bytes, limit: int) -> bytes | None:
    try:
        changed = reshape.with_num_ctx(body, finished(find_places(body, CHAT)), limit)
    except Unreadable:
        return None
    return None if changed is None else bytes(changed)


def with_one_size(body: bytes, endpoint: str, *, num_ctx: int | None) -> reshape.Reshaped:
    return reshape.with_one_size(body, endpoint, finished(find_places(body, CHAT)), num_ctx=num_ctx)


def unloads_after(body: bytes, endpoint: str) -> bool:
    return unloading(body, endpoint) is not None


@pytest.mark.parametrize("zero", [b"0", b"-0.0", b'"0"', b'"0s"', b'"0h0m"', '"0µs"'.encode()])
def test_a_keep_alive_of_zero_behind_work_becomes_null(zero: bytes) -> None:
    body = b'{"prompt":"caf\xe9", "keep_alive" : %b , "model":"m"}!'

    assert without_keep_alive(body % zero) == body % b"null"


@pytest.mark.parametrize(
    "body",
    [
        b'{"prompt":"hi"}', b'{"prompt":"hi","keep_alive":null}', b'{"prompt":"hi","keep_alive":5}',
        b'{"prompt":"hi","keep_alive":-1}', b'{"prompt":"hi","keep_alive":"5m"}',
        b'{"prompt":"hi","keep_alive":"none"}', b'{"prompt":"hi","keep_alive":false}',
        b'{"prompt":"hi","keep_alive":0,"keep_alive":300}', b'{"prompt":"keep_alive","x":0}',
        b'{"prompt":"hi","options":{"keep_alive":0}}', b'{"prompt":"hi","keep_alive":0',
    ],
)  # fmt: skip
def test_any_other_keep_alive_stays_as_sent(body: bytes) -> None:
    assert without_keep_alive(body) is None


@pytest.mark.parametrize("work", [b"", b',"prompt":""', b',"messages":[]', b',"prompt":null'])
def test_an_unload_stays_an_unload(work: bytes) -> None:
    assert without_keep_alive(b'{"model":"m","keep_alive":0%b}' % work) is None


@pytest.mark.parametrize(
    "key", ["KEEP_ALIVE", "Keep_Alive", "\N{KELVIN SIGN}eep_alive", "\\u006beep_alive",
            "keep\\u005Falive", "\\u212aeep_alive"]
)  # fmt: skip
def test_keep_alive_may_be_spelled_as_go_accepts_it(key: str) -> None:
    body = f'{{"prompt":"hi","{key}":0}}'.encode()

    assert without_keep_alive(body) == body.replace(b":0", b":null")


def test_an_earlier_keep_alive_does_not_come_back() -> None:
    sent = without_keep_alive(b'{"prompt":"hi","keep_alive":300,"Keep_Alive":0}')

    assert sent == b'{"prompt":"hi","keep_alive":300,"Keep_Alive":null}'


@given(body=bodies, zero=st.sampled_from([0, 0.0, "0", "0s"]), after=endings)
def test_any_body_means_the_same_but_for_its_keep_alive(
    body: dict[str, Any], zero: float | str, after: bytes
) -> None:
    others = {key: value for key, value in body.items() if folded(key) != "keep_alive"}
    asked = others | {"prompt": "hi", "keep_alive": zero}

    sent = without_keep_alive(json.dumps(asked).encode() + after)

    assert sent == json.dumps(asked | {"keep_alive": None}).encode() + after


@given(raw=st.binary(max_size=100))
def test_no_bytes_break_the_change(raw: bytes) -> None:
    assert without_keep_alive(raw) is None


@given(
    key=st.sampled_from(["keep_alive", "KEEP_ALIVE", "\\u004beep_alive", "keepalive", "x"]),
    value=st.sampled_from(["0", '"0s"', "1", "null", '"keep_alive"']),
    work=st.sampled_from(['"prompt":"hi"', '"messages":[{}]', '"prompt":""', '"x":1']),
)
def test_the_quick_answer_is_that_of_the_whole_look(key: str, value: str, work: str) -> None:
    body = f'{{"model":"m",{work},"{key}":{value}}}'.encode()

    for endpoint in ("/api/chat", GENERATE):
        looked = look(body, endpoint)
        is_asked = looked is not None and looked.unloads_after
        assert unloads_after(body, endpoint) is is_asked


# Where and whether


@pytest.mark.parametrize("endpoint", ["/api/chat", "/api/generate"])
def test_ollamas_own_generations_are_changed_and_the_change_is_named(endpoint: str) -> None:
    sized = with_one_size(b"{}", endpoint, num_ctx=8192)
    looked = unloading(KEEP_ALIVE_ZERO, endpoint)
    assert looked
    kept = kept_loaded(KEEP_ALIVE_ZERO, looked)

    assert (bytes(sized.body), sized.change) == (b'{"options":{"num_ctx":8192}}', "num_ctx=8192")
    assert (bytes(kept.body), kept.change) == (KEEP_ALIVE_ZERO.replace(b"0", b"null"), "keep_alive")
    assert unloads_after(KEEP_ALIVE_ZERO, endpoint)


@pytest.mark.parametrize(
    "endpoint", ["/v1/chat/completions", "/v1/messages", "/api/embed", "/api/embeddings"]
)
def test_every_other_route_gets_what_was_sent(endpoint: str) -> None:
    sized = with_one_size(KEEP_ALIVE_ZERO, endpoint, num_ctx=8192)

    assert (bytes(sized.body), sized.change) == (KEEP_ALIVE_ZERO, "")
    assert not unloads_after(KEEP_ALIVE_ZERO, endpoint)


def test_as_sent_is_the_very_bytes() -> None:
    body = b'{"options":{"num_ctx":1}}'

    assert bytes(with_one_size(body, "/api/chat", num_ctx=None).body) is body


def test_a_body_that_stays_names_no_change() -> None:
    body = b'{"options":{"num_ctx":9999}}'

    assert with_one_size(body, "/api/chat", num_ctx=8192).change == ""


LARGE = {
    "one long text": b'{"prompt":"' + b"x" * 8 * MIB + b'","keep_alive":0}',
    "many messages": b'{"messages":[' + b"{},\n" * 900_000 + b'{}],"keep_alive":0}',
    "many fields": b'{"keep_alive":0,"prompt":"x"' + b',"a":1' * 900_000 + b"}",
    "many options": b'{"keep_alive":0,"prompt":"x","options":{"a":1' + b',"a":1' * 900_000 + b"}}",
    "many spaces": b"{" + b" " * 8 * MIB + b'"keep_alive":0,"prompt":"x"' + b" " * 8 * MIB + b"}",
    "never closed": b'{"keep_alive":0,"prompt":' + b'{"a":' * MIB,
}


@pytest.mark.parametrize("body", LARGE.values(), ids=LARGE.keys())
def test_a_large_body_takes_no_longer_than_a_few_readings_of_it(body: bytes) -> None:
    began_at = time.process_time()

    with_num_ctx(body, 8192)
    unloading(body, GENERATE)

    # Some tenths of a second; a scan that is quadratic in 8 MiB would take hours.
    assert time.process_time() - began_at < 5
