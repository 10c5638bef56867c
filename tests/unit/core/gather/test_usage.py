"""The usage that the end of an answer tells."""

import json

import pytest

from foreman.core.gather.usage import Usage, usage_at_end

LAST = {"done": True, "prompt_eval_count": 3, "eval_count": 5, "eval_duration": 2_000_000_000}
FOUND = Usage(prompt_tokens=3, output_tokens=5, eval_s=2.0)


@pytest.mark.parametrize(
    "before", [b"", b'{"done":false}\n', b'alf a line"}\n{"done":false}\n'], ids=repr
)
@pytest.mark.parametrize("after", [b"", b"\n"])
def test_the_last_line_tells_it(before: bytes, after: bytes) -> None:
    assert usage_at_end(before + json.dumps(LAST).encode() + after) == FOUND


def test_a_whole_body_of_openai_tells_it() -> None:
    body = b'{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":5}}\n'

    assert usage_at_end(body) == Usage(prompt_tokens=3, output_tokens=5)


@pytest.mark.parametrize(
    "tail",
    [
        b"",
        b"data: [DONE]\n\n",
        b'one":true,"eval_count":5}\n',
        b'{"done":true,"eval_cou',
        b'{"pad":"' + b"x" * 70_000 + b'","eval_count":5}',
        b"[" * 100_000,
        b'{"a":' * 20_000,
    ],
    ids=lambda tail: repr(tail[:20]),
)
def test_what_is_no_whole_line_of_json_tells_nothing(tail: bytes) -> None:
    assert usage_at_end(tail) == Usage()
