"""The channel's wire form: what is sent arrives, what is damaged or old is noticed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreman.core.frames import (
    Failure,
    Frame,
    FrameKind,
    Head,
    Position,
    Verdict,
    decode,
    decode_failure,
    decode_head,
    encode,
    encode_failure,
    encode_head,
)
from tests.factories import frame

numbers = st.integers(0, 2**32 - 1)
frames = st.builds(
    Frame, st.uuids(), numbers, numbers, st.sampled_from(FrameKind), st.binary(max_size=100)
)
latin = st.text(st.characters(max_codepoint=255), max_size=30)
heads = st.builds(Head, st.integers(100, 599), st.lists(st.tuples(latin, latin), max_size=5))
failures = st.builds(Failure, st.integers(400, 599), st.text(), st.text())


@given(batch=st.lists(frames, max_size=6))
def test_a_batch_arrives_as_it_was_sent(batch: list[Frame]) -> None:
    assert list(decode(encode(batch))) == batch


@given(one=st.lists(frames, max_size=3), other=st.lists(frames, max_size=3))
def test_batches_may_be_joined(one: list[Frame], other: list[Frame]) -> None:
    assert list(decode(encode(one) + encode(other))) == one + other


@given(head=heads)
def test_a_head_arrives_with_its_headers_in_their_order(head: Head) -> None:
    assert decode_head(encode_head(head)) == head


@given(failure=failures)
def test_a_failure_arrives_as_it_was_sent(failure: Failure) -> None:
    assert decode_failure(encode_failure(failure)) == failure


@given(whole=frames, data=st.data())
def test_a_message_that_is_cut_is_refused(whole: Frame, data: st.DataObject) -> None:
    message = encode([whole])
    cut = message[: data.draw(st.integers(1, len(message) - 1))]

    with pytest.raises(ValueError, match="cut"):
        list(decode(cut))


def test_a_frame_of_an_unknown_kind_is_refused() -> None:
    message = bytearray(encode([frame(payload=b"")]))
    message[-5] = 99

    with pytest.raises(ValueError, match="99"):
        list(decode(bytes(message)))


@given(message=st.binary(max_size=120))
def test_noise_is_refused_or_read_and_breaks_nothing(message: bytes) -> None:
    try:
        read = list(decode(message))
    except ValueError:
        return

    assert encode(read) == message


FRESH = Position()
AT_RUN_2 = Position(fence=2, seq=3)
PASSED_ON = Position(fence=2, seq=3, has_passed_bytes=True)
DATA, ERROR = FrameKind.DATA, FrameKind.ERROR

RULES = [
    # 1. An older run is not followed any more, whatever it says.
    (AT_RUN_2, 1, 0, DATA, Verdict.DROP),
    (AT_RUN_2, 1, 3, DATA, Verdict.DROP),
    (AT_RUN_2, 1, 9, ERROR, Verdict.DROP),
    (PASSED_ON, 1, 3, DATA, Verdict.DROP),
    # 2. A newer run starts over, as long as the client has nothing of the old one.
    (FRESH, 1, 0, DATA, Verdict.RESTART),
    (FRESH, 1, 0, FrameKind.HEAD, Verdict.RESTART),
    (AT_RUN_2, 3, 0, DATA, Verdict.RESTART),
    (AT_RUN_2, 9, 0, DATA, Verdict.RESTART),
    (PASSED_ON, 3, 0, DATA, Verdict.BROKEN),
    # … its first frames were lost
    (FRESH, 1, 1, DATA, Verdict.BROKEN),
    (AT_RUN_2, 3, 1, DATA, Verdict.BROKEN),
    (AT_RUN_2, 3, 3, FrameKind.END, Verdict.BROKEN),
    # … its error is the end, told in the place of a worker that is lost
    (FRESH, 1, 0, ERROR, Verdict.TAKE),
    (AT_RUN_2, 3, 0, ERROR, Verdict.TAKE),
    (PASSED_ON, 3, 0, ERROR, Verdict.TAKE),
    # 3. A batch that was sent twice.
    (AT_RUN_2, 2, 0, DATA, Verdict.DROP),
    (AT_RUN_2, 2, 2, DATA, Verdict.DROP),
    (PASSED_ON, 2, 2, FrameKind.END, Verdict.DROP),
    # 4. A batch that was lost: never a silent gap.
    (AT_RUN_2, 2, 4, DATA, Verdict.BROKEN),
    (PASSED_ON, 2, 9, FrameKind.END, Verdict.BROKEN),
    # 5. The next one.
    (AT_RUN_2, 2, 3, DATA, Verdict.TAKE),
    (PASSED_ON, 2, 3, FrameKind.END, Verdict.TAKE),
    (PASSED_ON, 2, 3, ERROR, Verdict.TAKE),
]


@pytest.mark.parametrize(("position", "fence", "seq", "kind", "verdict"), RULES)
def test_a_frame_is_judged_by_its_run_and_its_number(
    position: Position, fence: int, seq: int, kind: FrameKind, verdict: Verdict
) -> None:
    arrived = frame(fence=fence, seq=seq, kind=kind)

    assert position.judge(arrived) is verdict


@given(sent=st.lists(st.binary(max_size=5), min_size=1, max_size=20), data=st.data())
def test_a_reader_takes_every_frame_once_and_in_order_or_says_that_it_cannot(
    sent: list[bytes], data: st.DataObject
) -> None:
    run = [frame(seq=number, payload=payload) for number, payload in enumerate(sent)]
    # Whole batches are doubled or lost on the way; their order is kept.
    arrived = [each for each in run for _ in range(data.draw(st.sampled_from([0, 1, 1, 1, 2])))]
    position, taken = FRESH, []
    for each in arrived:
        verdict = position.judge(each)
        if verdict is Verdict.BROKEN:
            break
        if verdict is not Verdict.DROP:
            taken.append(each)
            position = position.after(each)

    assert taken == run[: len(taken)]
    assert position.seq == len(taken)


def test_a_restart_follows_the_newer_run() -> None:
    first = frame(fence=3, seq=0)

    after = AT_RUN_2.after(first)

    assert after == Position(fence=3, seq=1)
    assert after.judge(frame(fence=2, seq=3)) is Verdict.DROP
