"""The sink of an asynchronous run: the answer is gathered, and becomes the job's artifacts."""

import time
from dataclasses import replace

from foreman.core import headers as header_rules
from foreman.core.attempts import is_refusal
from foreman.core.frames import Failure, Head
from foreman.core.gather.choose import gathering_for
from foreman.core.gather.gathering import Gathering
from foreman.core.gather.usage import Usage
from foreman.core.gather.whole import WholeGathering
from foreman.core.recording import Recording
from foreman.core.stream_request import StreamRequest, stream_request
from foreman.core.target_words import error_words
from foreman.errors import TargetFailed, TargetRefused
from foreman.services.sink import Outcome
from foreman.store.artifacts import RESULT
from foreman.store.produced import Produced
from foreman.store.runs import Claim

# Of one job, whatever a target sends.
ARTIFACTS_LIMIT = 64
IMAGES_LIMIT = ARTIFACTS_LIMIT - 2  # the others are the result and the recording of the stream
STREAM = "stream.ndjson"
STREAM_TYPE = "application/x-ndjson"


class CollectedSink:
    """Asks for a stream and puts together the body that the caller would have got without one."""

    is_seen = False  # nobody sees anything before the end

    def __init__(self, claim: Claim, *, limit_bytes: int) -> None:
        self._claim = claim
        self._limit_bytes = limit_bytes
        self._recording = Recording(limit_bytes) if claim.keeps_stream else None
        self._asked_at = 0.0
        self._head = Head(0, [])
        self._gathering: Gathering = WholeGathering(limit_bytes, is_json=False)
        self._answered = Outcome()  # what stays even when the answer is an error

    @property
    def tokens(self) -> int | None:
        return self._gathering.pieces or None

    def ask(self, body: bytes) -> StreamRequest:
        self._asked_at = time.monotonic()
        return stream_request(self._claim.endpoint, body)

    def begin(self, head: Head) -> None:
        self._head = head
        if head.status == 200:
            self._gathering = gathering_for(
                self._claim.endpoint, self._content_type(), limit_bytes=self._limit_bytes
            )

    def take(self, chunk: bytes) -> None:
        if self._recording is not None:
            self._recording.add(chunk, after_s=time.monotonic() - self._asked_at)
        self._gathering.feed(chunk)
        if self._gathering.error is not None:
            raise TargetFailed(self._gathering.error.message)

    def credit(self, taken_bytes: int) -> None:
        """Nobody takes anything before the end."""

    def stop(self) -> None:
        """`take` waits for nobody."""

    def finish(self) -> Outcome:
        """The whole body and the first images in it; TargetRefused, TargetFailed for an error.

        Those beyond the limit are in the body alone, which has them all.
        """
        body = self._gathering.finish()
        if self._head.status != 200:
            self._answered = self._outcome(Produced(RESULT, self._content_type(), body))
            is_final = is_refusal(self._head.status)
            raise (TargetRefused if is_final else TargetFailed)(error_words(body))
        images = self._gathering.images(IMAGES_LIMIT)
        return self._outcome(
            Produced(RESULT, self._whole_type(), body),
            *(
                Produced(f"image-{number}.{image.extension}", image.content_type, image.content)
                for number, image in enumerate(images, 1)
            ),
            *self._recorded(),
        )

    def fail(self, failure: Failure) -> Outcome:
        """An error's own body stays, and the chunks that came, if they were asked for."""
        artifacts = (*self._answered.artifacts, *self._recorded())
        return replace(self._answered, usage=self._usage(), artifacts=artifacts)

    def close(self) -> None:
        """Nothing is held open."""

    def _outcome(self, result: Produced, *others: Produced) -> Outcome:
        return Outcome(
            status=self._head.status,
            response_bytes=len(result.body),
            usage=self._usage(),
            artifacts=(result, *others),
        )

    def _usage(self) -> Usage:
        """As the target tells it, or as many tokens as were seen."""
        usage = self._gathering.usage
        return (
            usage if usage.output_tokens is not None else replace(usage, output_tokens=self.tokens)
        )

    def _recorded(self) -> list[Produced]:
        if self._recording is None:
            return []
        return [Produced(STREAM, STREAM_TYPE, bytes(self._recording))]

    def _content_type(self) -> str:
        return header_rules.find(self._head.headers, "content-type") or ""

    def _whole_type(self) -> str:
        """The content type of the answer that is not streamed."""
        if isinstance(self._gathering, WholeGathering):
            return self._content_type()
        is_native = self._claim.endpoint.startswith("/api/")
        return "application/json; charset=utf-8" if is_native else "application/json"
