"""Request bodies, read as Ollama reads them (facts on Ollama, 2.2, 2.3, 2.5)."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from foreman.core import bodies
from foreman.core.bodies import Look, look
from foreman.core.reading import tables
from foreman.core.reading.kinds import folded
from foreman.core.steps import finished
from foreman.errors import RequestRefused

CHAT, GENERATE, V1_CHAT = "/api/chat", "/api/generate", "/v1/chat/completions"
NATIVE = [CHAT, GENERATE]


def read(body: bytes | dict[str, Any], endpoint: str = CHAT) -> Look | None:
    given = body if isinstance(body, bytes) else json.dumps(body).encode()
    return look(given, endpoint)


def streams(body: bytes | dict[str, Any], *, by_default: bool = True) -> bool:
    looked = read(body, CHAT if by_default else V1_CHAT)
    assert looked
    return looked.streams


def is_unload(**fields: Any) -> bool:
    """Whether it is one on both routes that unload."""
    looked = [read({"model": "m"} | fields, endpoint) for endpoint in NATIVE]
    assert all(looked)
    answers = {each.is_unload for each in looked if each}
    assert len(answers) == 1
    return answers.pop()


def named_model(body: bytes) -> str:
    return finished(bodies.named_model(body))


def test_the_model_is_what_the_client_wrote() -> None:
    looked = read({"model": " TINY-A "})

    assert looked == Look(" TINY-A ", streams=True)


@pytest.mark.parametrize("by_default", [True, False])
def test_an_absent_or_null_stream_is_the_default_of_the_route(by_default: bool) -> None:
    absent = streams({"model": "m"}, by_default=by_default)
    null = streams({"model": "m", "stream": None}, by_default=by_default)

    assert (absent, null) == (by_default, by_default)


@pytest.mark.parametrize("wanted", [True, False])
def test_a_stream_that_is_asked_for_beats_the_default(wanted: bool) -> None:
    assert streams({"model": "m", "stream": wanted}, by_default=not wanted) is wanted


@pytest.mark.parametrize(
    "body",
    [
        b'{"MODEL":"m","Stream":false,"OPTIONS":{"num_ctx":1},"Shift":true}',
        b'{"Model":"m","STREAM":false,"Options":{"num_ctx":1},"SHIFT":true}',
        # Go folds case by Unicode: the long s is an s, the Kelvin sign is a k.
        '{"model":"m","\u017ftream":false,"option\u017f":{"num_ctx":1},"\u017fhift":true}'.encode(),
    ],
)
def test_keys_may_be_written_in_any_case(body: bytes) -> None:
    assert read(body) == Look("m", streams=False, runner_options={"num_ctx": 1, "shift": True})


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"a","model":"b"}',
        b'{"model":"a","MODEL":"b"}',
        b'{"MODEL":"a","model":"b"}',
        b'{"model":"c","MODEL":"a","model":"b"}',
        b'{"Model":"b","model":"a","Model":"b"}',
    ],
)
def test_the_last_of_several_keys_wins_in_any_case(body: bytes) -> None:
    looked = read(body)

    assert looked
    assert looked.model == "b"


@pytest.mark.parametrize(
    "rest", [b"garbage", b"{}", b"]", b"\n\n", b"\0", b'{"model":"b"}', b"\xff"]
)
def test_what_follows_the_first_value_is_ignored(rest: bytes) -> None:
    assert read(b' \r\n\t{"model":"a"}' + rest) == Look("a", streams=True)


@pytest.mark.parametrize(
    "body",
    [
        b"", b" ", b"{", b"nonsense", b"null", b"5", b'"m"', b"[]", b'[{"model":"m"}]', b"{}",
        b'{"model":"m"', b"{'model':'m'}", b'{"model":"m",}', b'{"model":""}', b'{"model":" "}',
        b'{"model":null}', b'{"model":5}', b'{"model":["m"]}', b'{"name":"m"}',
        b'{"model":"m","stream":"true"}', b'{"model":"m","stream":1}', b'{"model":"m","stream":{}}',
        b'{"model":"m","options":[]}', b'{"model":"m","options":"num_ctx"}',
        b'{"model":"m","options":{"num_ctx":NaN}}', b'{"model":"m","x":Infinity}',
        b'{"model":"m","x":-Infinity}', b"\xef\xbb\xbf" + b'{"model":"m"}', b'{"model":"m\n"}',
        '{"model":"m"}'.encode("utf-16"),
    ],
)  # fmt: skip
def test_a_body_that_cannot_be_placed_is_for_the_target_to_answer(body: bytes) -> None:
    assert read(body) is None


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
@pytest.mark.parametrize("depth", [10_000, 1_000_000])
def test_a_body_nested_without_end_is_for_the_target_to_answer(opening: bytes, depth: int) -> None:
    assert read(b'{"model":"m","x":' + opening * depth) is None


def test_bytes_that_are_no_utf_8_are_read_as_replacement_characters() -> None:
    looked = read(b'{"model":"m\xff","prompt":"\xc3"}')

    assert looked == Look("m\ufffd", streams=True)


def test_a_tools_arguments_and_the_names_of_options_are_not_folded() -> None:
    looked = read(b'{"model":"m","options":{"NUM_CTX":1,"num_ctx":2,"Num_Ctx":3}}')

    assert looked
    assert looked.runner_options == {"num_ctx": 2}


@pytest.mark.parametrize(
    "keep_alive", [0, 0.0, -0.0, "0", "0s", "0m", "0h", "0ms", "0h0m0s", "0.0s", "-0s"]
)
def test_no_work_and_a_keep_alive_of_zero_is_an_unload(keep_alive: float | str) -> None:
    assert is_unload(keep_alive=keep_alive)
    assert is_unload(keep_alive=keep_alive, prompt="")
    assert is_unload(keep_alive=keep_alive, messages=[])
    assert is_unload(keep_alive=keep_alive, prompt=None, messages=None)


@pytest.mark.parametrize("keep_alive", [None, 5, -1, "5m", "-1m", "24h", 0.5])
def test_no_work_and_any_other_keep_alive_is_a_load(keep_alive: Any) -> None:
    assert not is_unload(keep_alive=keep_alive)


@pytest.mark.parametrize("keep_alive", ["", "abc", "300", "-1", True, False, [], {}])
def test_a_keep_alive_that_is_no_duration_is_for_the_target_to_answer(keep_alive: Any) -> None:
    assert read({"model": "m", "keep_alive": keep_alive}) is None


def test_no_work_without_a_keep_alive_is_a_load() -> None:
    assert not is_unload()


@pytest.mark.parametrize(
    ("endpoint", "work"),
    [
        (GENERATE, {"prompt": "hi"}),
        (CHAT, {"messages": [{"role": "user", "content": "hi"}]}),
    ],
)
def test_work_with_a_keep_alive_of_zero_is_work(endpoint: str, work: dict[str, Any]) -> None:
    looked = read({"model": "m", "keep_alive": 0} | work, endpoint)

    assert looked == Look("m", streams=True, unloads_after=True)


@pytest.mark.parametrize(
    ("endpoint", "other"), [(CHAT, {"prompt": "hi"}), (GENERATE, {"messages": [{"role": "user"}]})]
)
def test_what_is_work_on_another_route_is_none_on_this(
    endpoint: str, other: dict[str, Any]
) -> None:
    looked = read({"model": "m", "keep_alive": 0} | other, endpoint)

    assert looked == Look("m", streams=True, is_unload=True)


@pytest.mark.parametrize("endpoint", ["/api/embed", "/api/embeddings"])
@pytest.mark.parametrize("work", [{}, {"input": "hi", "prompt": "hi"}, {"input": []}])
def test_an_embedding_never_unloads_its_model_before_it_has_loaded_it(
    endpoint: str, work: dict[str, Any]
) -> None:
    looked = read({"model": "m", "keep_alive": 0} | work, endpoint)

    assert looked == Look("m", streams=False, unloads_after=True)


@pytest.mark.parametrize("keep_alive", [None, 5, -1, "5m"])
def test_work_with_any_other_keep_alive_leaves_the_model_loaded(keep_alive: Any) -> None:
    looked = read({"model": "m", "prompt": "hi", "keep_alive": keep_alive}, GENERATE)

    assert looked == Look("m", streams=True)


@pytest.mark.parametrize("work", [b"", b',"messages":[{}]', b',"messages":[]'])
def test_below_v1_a_keep_alive_is_not_read(work: bytes) -> None:
    body = b'{"model":"m","keep_alive":0%b}' % work

    assert read(body, V1_CHAT) == Look("m", streams=False)


def test_older_clients_name_the_model_by_name() -> None:
    bodies = [
        b'{"name":"m"}', b'{"NAME":"m"}', b'{"model":"m","name":"x"}', b'{"model":"","name":"m"}',
    ]  # fmt: skip

    assert [named_model(body) for body in bodies] == ["m"] * 4


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"model":5}', b'{"name":null}', b"\xff"])
def test_a_body_that_names_no_model_names_the_empty_one(body: bytes) -> None:
    assert named_model(body) == ""


header_text = st.text(st.characters(max_codepoint=255, exclude_categories=["Cc"]), max_size=60)
content_types = header_text | header_text.map("multipart/form-data; boundary=".__add__)
json_like = st.lists(
    st.sampled_from(
        ["{", "}", "[", "]", '"', ":", ",", "model", '"model":"m"', '"stream":', "null", "true",
         "0", "-", "1e999", "NaN", "\\ud800", "\\", '"options":{"num_ctx":', " ", "\n", "é", "\0"]
    ),
    max_size=20,
).map(lambda pieces: "".join(pieces).encode())  # fmt: skip


encodings = st.sampled_from(["", "zstd", "gzip"])


@given(body=st.binary(max_size=200) | json_like, content_type=content_types, encoding=encodings)
@example(body=b"9" * 5000, content_type="", encoding="")
@example(body=b"--x\r\n\r\n\r\n--x", content_type="multipart/form-data; boundary=x", encoding="")
@example(body=b"--\xe9", content_type="multipart/form-data; boundary=\xe9", encoding="")
@example(body=b"", content_type="multipart/form-data; boundary*=utf-8''%ff", encoding="")
def test_no_body_and_no_header_breaks_the_look(
    body: bytes, content_type: str, encoding: str
) -> None:
    for endpoint in (CHAT, V1_CHAT, bodies.TRANSCRIPTIONS):
        try:
            looked = look(body, endpoint, content_type=content_type, content_encoding=encoding)
        except RequestRefused:
            continue
        assert looked is None or looked.model
    assert isinstance(named_model(body), str)


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


unknown = st.text(min_size=12).filter(lambda name: folded(name) not in tables.CHAT.folds)


@given(extra=st.dictionaries(unknown, plain, max_size=4), wanted=st.booleans())
@example(extra={"top_logprobs ": []}, wanted=True)
def test_fields_that_foreman_does_not_know_change_nothing(
    extra: dict[str, Any], wanted: bool
) -> None:
    body = extra | {"model": "m", "stream": wanted}

    assert read(body) == Look("m", streams=wanted)
