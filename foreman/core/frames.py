"""The wire form of the channel: what a worker tells a web process about one run of one job.

A message on the channel is a batch of frames, of any jobs, one after the other. Sending and
receiving is `adapters.channel`; here bytes become frames, and a reader learns whether a frame is
the one it waits for.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import Enum, IntEnum
from struct import Struct
from uuid import UUID

Headers = list[tuple[str, str]]

# job id, fence, sequence number, kind, payload length; network byte order.
_HEADER = Struct("!16sIIBI")


class FrameKind(IntEnum):
    HEAD = 0  # the target's status and headers
    DATA = 1  # bytes of the body, as the target sent them
    END = 2  # the body is whole
    ERROR = 3  # the run failed; nothing follows


@dataclass(frozen=True, slots=True)
class Frame:
    """One unit on the channel; `seq` counts from 0 within a (job, fence)."""

    job_id: UUID
    fence: int
    seq: int
    kind: FrameKind
    payload: bytes = b""


@dataclass(frozen=True, slots=True)
class Head:
    """What precedes a body: the target's status and its headers, in its order."""

    status: int
    headers: Headers


@dataclass(frozen=True, slots=True)
class Failure:
    """An error of foreman's own that ends a run: status and code as in `errors`."""

    status: int
    code: str
    message: str
    is_permanent: bool = True  # another run would end so, too; not told on the channel


def joined(pieces: list[tuple[FrameKind, bytes]]) -> Iterator[tuple[FrameKind, bytes]]:
    """What a run hands over to be sent, with neighbouring data as one frame."""
    data: list[bytes] = []
    for kind, payload in pieces:
        if kind is FrameKind.DATA:
            data.append(payload)
            continue
        if data:
            yield FrameKind.DATA, b"".join(data)
            data = []
        yield kind, payload
    if data:
        yield FrameKind.DATA, b"".join(data)


def encode(frames: Iterable[Frame]) -> bytes:
    """Join frames into the body of one message."""
    parts: list[bytes] = []
    for frame in frames:
        size = len(frame.payload)
        parts.append(_HEADER.pack(frame.job_id.bytes, frame.fence, frame.seq, frame.kind, size))
        parts.append(frame.payload)
    return b"".join(parts)


def decode(message: bytes) -> Iterator[Frame]:
    """Split a message into its frames; ValueError when it is not whole."""
    position, end = 0, len(message)
    while position < end:
        start = position + _HEADER.size
        if start > end:
            raise ValueError("a frame's header is cut")
        job, fence, seq, kind, size = _HEADER.unpack_from(message, position)
        position = start + size
        if position > end:
            raise ValueError("a frame's payload is cut")
        yield Frame(UUID(bytes=job), fence, seq, FrameKind(kind), message[start:position])


def encode_head(head: Head) -> bytes:
    return json.dumps([head.status, head.headers]).encode()


def decode_head(payload: bytes) -> Head:
    status, headers = json.loads(payload)
    return Head(status, [(name, value) for name, value in headers])


def encode_failure(failure: Failure) -> bytes:
    return json.dumps([failure.status, failure.code, failure.message]).encode()


def decode_failure(payload: bytes) -> Failure:
    return Failure(*json.loads(payload))


class Verdict(Enum):
    TAKE = "take"  # the next frame of the run that the reader follows
    DROP = "drop"  # old news: an older run, or seen before
    RESTART = "restart"  # the first frame of a newer run, and nothing was passed on yet
    BROKEN = "broken"  # something is missing: the stream cannot go on


@dataclass(frozen=True, slots=True)
class Position:
    """Where a reader stands: the run it follows, the next number, whether bytes went out."""

    fence: int = 0
    seq: int = 0
    has_passed_bytes: bool = False

    def judge(self, frame: Frame) -> Verdict:
        """Say what to do with a frame that arrived."""
        # 1. An older run may still be talking: it is not followed any more.
        if frame.fence < self.fence:
            return Verdict.DROP
        # 2. A newer run starts over; a client that has bytes of the old one cannot follow. But
        #    its error is the end of the old run, told in the place of a worker that is lost.
        if frame.fence > self.fence:
            if frame.kind is FrameKind.ERROR:
                return Verdict.TAKE
            starts_clean = frame.seq == 0 and not self.has_passed_bytes
            return Verdict.RESTART if starts_clean else Verdict.BROKEN
        # 3. A batch sent twice after a reconnect.
        if frame.seq < self.seq:
            return Verdict.DROP
        # 4. A batch lost.
        if frame.seq > self.seq:
            return Verdict.BROKEN
        return Verdict.TAKE

    def after(self, frame: Frame) -> "Position":
        """The position once `frame` was taken."""
        return replace(self, fence=frame.fence, seq=frame.seq + 1)
