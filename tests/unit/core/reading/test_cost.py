"""What a hostile body costs: twice the input at most three times the time, and no long step.

Time is CPU time of this thread: it does not matter who else is busy on the machine.
"""

import itertools
import time
from collections.abc import Callable, Generator

import pytest
import zstandard

from foreman.core.bodies import TRANSCRIPTIONS, read
from foreman.core.fingerprint import fingerprint
from foreman.core.job_body import split_job
from foreman.core.reading.scan import COUNT_LIMIT, Unreadable
from foreman.errors import BodyTooComplex, BodyTooLarge

KIB, MIB = 1024, 1024 * 1024
Make = Callable[[int], bytes]

# A step is meant to take a millisecond or two. A busy machine takes longer for the same work, but
# not so much longer; a step that grows with its input takes seconds here.
LONGEST_STEP_S = 0.05
# Below this the clock measures little but itself.
SHORTEST_S = 0.005


def field(value: bytes, name: bytes = b"x") -> bytes:
    return b'{"model":"m","%b":%b}' % (name, value)


def form(parts: bytes) -> bytes:
    last = b'--edge\r\nContent-Disposition: form-data; name="model"\r\n\r\nm\r\n'
    return parts + last + b"--edge--\r\n"


QUOTED = (
    b'--edge\r\nContent-Disposition: form-data; name="a"\r\n'
    b"Content-Transfer-Encoding: quoted-printable\r\n\r\n"
)
NAME_PIECES = b"".join(b";n*%d*=%%41" % number for number in range(650))

BODIES: dict[str, Make] = {
    "zeros of a keep_alive": lambda n: field(b'"' + b"0" * n + b'"', b"keep_alive"),
    "terms of a keep_alive": lambda n: field(b'"' + b"0s" * (n // 2) + b'"', b"keep_alive"),
    "a fraction of a keep_alive": lambda n: field(b'"0.' + b"0" * n + b's"', b"keep_alive"),
    "escapes in a keep_alive": lambda n: field(b'"' + b"\\u0030" * (n // 6) + b'"', b"keep_alive"),
    "a unit of a keep_alive": lambda n: field(b'"0' + b"s" * n + b'"', b"keep_alive"),
    "dots in a keep_alive": lambda n: field(b'"' + b"0." * (n // 2) + b'"', b"keep_alive"),
    "a number of a keep_alive": lambda n: field(b"0." + b"0" * n, b"keep_alive"),
    "a number": lambda n: field(b"9" * n),
    "a name": lambda n: field(b'"' + b"a" * n + b'"', b"model"),
}
LARGE: dict[str, Make] = {
    "empty lists": lambda n: field(b"[" + b"[]," * (n // 3) + b"1]"),
    "lists of lists": lambda n: field(b"[" + b"[[],[]]," * (n // 8) + b"1]"),
    "objects": lambda n: field(b"[" + b'{"a":{"b":1}},' * (n // 14) + b"1]"),
    "numbers": lambda n: field(b"[" + b"17," * (n // 3) + b"1]"),
    "texts with commas": lambda n: field(b"[" + b'"a,b",' * (n // 6) + b'""]'),
    "depth": lambda n: field(b"[" * (n // 2) + b"]" * (n // 2)),
    "depth of objects": lambda n: field(b'{"a":' * (n // 6) + b"1" + b"}" * (n // 6)),
    "depth that never ends": lambda n: field(b'{"a":' * (n // 5)),
    "one text": lambda n: field(b'"' + b"x" * n + b'"'),
    "a text that never ends": lambda n: field(b'"' + b"x" * n),
    "escapes": lambda n: field(b'"' + b"\\n" * (n // 2) + b'"'),
    "escaped letters": lambda n: field(b'"' + b"\\u00e9" * (n // 6) + b'"'),
    "backslashes": lambda n: field(b'"' + b"\\\\" * (n // 2) + b'"'),
    "white space": lambda n: field(b" " * n + b"1"),
    "one key": lambda n: field(b"1", b"k" * n),
    "many keys": lambda n: b'{"model":"m"' + b',"abc":1' * (n // 8) + b"}",
    "the same known key": lambda n: b'{"model":"m"' + b',"raw":true' * (n // 11) + b"}",
    "the same needed key": lambda n: b'{"model":"m"' + b',"stream":true' * (n // 14) + b"}",
    "options": lambda n: field(b'{"a":1' + b',"num_ctx ":1' * (n // 13) + b"}", b"options"),
    "messages": lambda n: field(b"[" + b'{"content":"hi"},' * (n // 17) + b"{}]", b"messages"),
    "an image": lambda n: field(b'[{"images":["' + b"aGkh" * (n // 4) + b'"]}]', b"messages"),
    "an escaped image": lambda n: field(
        b'[{"images":["' + b"\\u0061aaa" * (n // 9) + b'"]}]', b"messages"
    ),
    "tools in tools": lambda n: field(
        b'[{"function":{"parameters":{"properties":{"a":'
        + b'{"properties":{"a":' * (n // 40)
        + b"1",
        b"tools",
    ),
}
FORMS: dict[str, Make] = {
    "parts": lambda n: form(
        b'--edge\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n' * (n // 60)
    ),
    "boundaries": lambda n: form(b"--edge\r\n" * (n // 8)),
    "boundaries in a file": lambda n: form(
        b'--edge\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n'
        + b"\r\n--edgeX" * (n // 9)
        + b"\r\n"
    ),
    "a preamble": lambda n: form(b"x\n" * (n // 2)),
    "a line": lambda n: form(b"x" * n),
    "headers": lambda n: form(b"--edge\r\n" + b"A: b\r\n" * (n // 6) + b"\r\n\r\n"),
    "parameters": lambda n: form(
        b"--edge\r\nContent-Disposition: form-data" + b'; a="b"' * (n // 7) + b"\r\n\r\n\r\n"
    ),
    "line ends": lambda n: form(b"--edge\r\nA: b\r\n\r\n" + b"\r\n" * (n // 2)),
    "headers in many lines": lambda n: form(
        (b"--edge\r\nA:" + b"\n " * 30_000 + b"\r\n\r\n\r\n") * (n // 60_000)
    ),
    "fields in quoted-printable": lambda n: form(
        (QUOTED + b"=6d" * 1000 + b"\r\n" + b"=\r\n" * 10_000 + b"\r\n") * (n // 33_000)
    ),
    "a name in pieces": lambda n: form(
        (b"--edge\r\nContent-Disposition: x" + NAME_PIECES + b"\r\n\r\n\r\n") * (n // 8_000)
    ),
}


def native(body: bytes) -> Generator[None, None, object]:
    return read(body, "/api/chat")


def transcription(body: bytes) -> Generator[None, None, object]:
    return read(body, TRANSCRIPTIONS, content_type="multipart/form-data; boundary=edge")


def job(body: bytes) -> Generator[None, None, object]:
    return split_job(b'{"endpoint":"/api/chat","request":%b}' % body)


def job_key(body: bytes) -> Generator[None, None, object]:
    return fingerprint(body, {"endpoint": "/api/chat"})


def packed(body: bytes) -> Generator[None, None, object]:
    sent = zstandard.compress(body)
    return read(sent, "/v1/chat/completions", content_encoding="zstd")


def cost(steps: Generator[None, None, object]) -> tuple[float, float]:
    """The CPU time of all steps, and of the longest one."""
    total, longest = 0.0, 0.0
    while True:
        began = time.thread_time()
        try:
            next(steps)
            is_last = False
        except (StopIteration, Unreadable, BodyTooComplex, BodyTooLarge):
            is_last = True
        took = time.thread_time() - began
        total, longest = total + took, max(longest, took)
        if is_last:
            return total, longest


def least(run: Callable[[], tuple[float, float]], times: int = 2) -> tuple[float, float]:
    """The least of several measurements: what the work costs, and not the machine's other work."""
    measured = [run() for _ in range(times)]
    return min(total for total, _ in measured), min(longest for _, longest in measured)


CASES = [
    *[(native, make, 30 * KIB, name) for name, make in BODIES.items()],
    *[(native, make, 512 * KIB, name) for name, make in LARGE.items()],
    *[(transcription, make, 512 * KIB, name) for name, make in FORMS.items()],
    (job, LARGE["empty lists"], 512 * KIB, "a job of lists"),
    (job, LARGE["escapes"], 512 * KIB, "a job of escapes"),
    (job_key, LARGE["one text"], MIB, "a long job's key"),
    (job_key, LARGE["empty lists"], 32 * KIB, "a short job's key"),
    (packed, LARGE["one text"], 4 * MIB, "a packed text"),
    (packed, LARGE["empty lists"], 512 * KIB, "packed lists"),
]


@pytest.mark.parametrize(
    ("reader", "make", "size"),
    [pytest.param(reader, make, size, id=name) for reader, make, size, name in CASES],
)
def test_twice_the_input_costs_at_most_three_times_as_much_in_no_longer_steps(
    reader: Callable[[bytes], Generator[None, None, object]], make: Make, size: int
) -> None:
    half, whole = make(size), make(2 * size)

    once, _ = least(lambda: cost(reader(half)))
    twice, longest = least(lambda: cost(reader(whole)))

    assert twice <= 3 * max(once, SHORTEST_S)
    assert longest <= LONGEST_STEP_S


@pytest.mark.parametrize("reader", [native, job, packed])
def test_more_values_than_foreman_reads_are_refused_before_the_rest_is_read(
    reader: Callable[[bytes], Generator[None, None, object]],
) -> None:
    def count_steps(values: int) -> int:
        steps = reader(field(b"[" + b"[]," * values + b"1]"))
        for count in itertools.count(1):
            try:
                next(steps)
            except BodyTooComplex:
                return count
        raise AssertionError("the count has no end")

    # What comes after the limit makes no difference, except that it must be unpacked.
    least_steps, most_steps = count_steps(COUNT_LIMIT), count_steps(4 * COUNT_LIMIT)

    assert most_steps - least_steps <= 32


def test_so_many_values_as_foreman_reads_are_accepted() -> None:
    body = field(b"[" + b"1," * (COUNT_LIMIT - 10) + b"1]")

    assert cost(native(body))[1] <= LONGEST_STEP_S
    looked = [each for each in [_end(native(body))] if each]
    assert looked


def _end(steps: Generator[None, None, object]) -> object:
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value
