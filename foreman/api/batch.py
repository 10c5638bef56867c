"""`POST /jobs/batch`: lines are read, accepted by the chunk and answered, all at the same time.

The reader is a thread (a greenlet) of its own and never waits for the client to take its answers:
most clients send everything before they read anything. What piles up is one short line a line.
"""

import logging
import queue
import threading
import time
from collections.abc import Iterator

from flask import Response, copy_current_request_context

from foreman.api import client
from foreman.api.contract_parts import NDJSON
from foreman.api.job_body import read_job
from foreman.api.jobs import ask_of
from foreman.api.objects import BatchLine, job_url
from foreman.api.origin import current_origin
from foreman.api.payloads import JobHeaders
from foreman.api.problems import problem_of
from foreman.api.reading import read_headers
from foreman.core.lines import Line, Lines
from foreman.core.origin import Origin
from foreman.errors import BodyTooLarge, Defect, ForemanError
from foreman.runtime import WebRuntime
from foreman.services.accept import (
    New,
    Outcome,
    Prepared,
    Replayed,
    accept_all,
    held,
    prepare,
    repeat,
)
from foreman.services.accepted import log_batch
from foreman.services.judge import Judge
from foreman.store.accept import KeyHolder

log = logging.getLogger(__name__)

CHUNK_LINES = 500
CHUNK_BYTES = 4 * 1024 * 1024
LINE_LIMIT_BYTES = CHUNK_BYTES
PIECE_BYTES = 4096
# A caller that makes its lines slowly hears of them as it goes.
CHUNK_AGE_S = 0.5
# What the answers of one call may take up: about 12 MB.
LINES_LIMIT = 100_000
# Other requests get their turn after so many lines: some 5 ms of work.
LINES_PER_TURN = 50


class Batch:
    """The handler of the route."""

    def __init__(self, runtime: WebRuntime) -> None:
        self._runtime = runtime

    def submit_batch(self) -> Response:
        origin = current_origin(self._runtime.settings)
        intake = _Intake(self._runtime, read_headers(JobHeaders), origin)
        read = copy_current_request_context(intake.read)
        threading.Thread(target=read, name="batch", daemon=True).start()
        return Response(_Answers(intake), content_type=NDJSON)


class _Answers:
    """The body of the answer, for the WSGI server."""

    def __init__(self, intake: "_Intake") -> None:
        self._intake = intake

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._intake.answers.get, b"")

    def close(self) -> None:
        self._intake.is_wanted = False


class _Intake:
    """One batch on its way from the client into the database."""

    def __init__(self, runtime: WebRuntime, headers: JobHeaders, origin: Origin) -> None:
        self._runtime = runtime
        self._headers = headers
        self._origin = origin
        self._judge = Judge(runtime)
        self._chunk: list[tuple[int, bytes | ForemanError]] = []
        self._chunk_bytes = 0
        self._reservation = client.new_reservation()
        self._flushed_at = time.monotonic()
        self._failure: ForemanError | None = None
        self.is_wanted = True
        self.answers: queue.SimpleQueue[bytes] = queue.SimpleQueue()  # b"" is the end

    def read(self) -> None:
        """Read the body to its end; every line gets its answer."""
        lines = Lines(LINE_LIMIT_BYTES)
        taken = 0
        try:
            for line in self._lines(lines):
                taken += 1
                self._take(line)
        except ForemanError as error:  # the body ended early, was too long or found no room
            self._chunk.append((taken, error))
        except Exception:  # the outermost loop of this thread: the client must get its end
            log.exception("batch failed")
        try:
            self._flush()
        finally:
            self._reservation.release()
            self.answers.put(b"")

    def _lines(self, lines: Lines) -> Iterator[Line]:
        for piece in client.body_pieces(None, piece_bytes=PIECE_BYTES):
            if not self.is_wanted:
                return
            yield from lines.feed(piece)
            self._reservation.resize(self._chunk_bytes + lines.held_bytes)
        yield from lines.finish()

    def _take(self, line: Line) -> None:
        if line.index >= LINES_LIMIT:
            raise BodyTooLarge(f"a batch has at most {LINES_LIMIT} lines; this and all after it")
        if line.text is None:
            words = f"a line has at most {LINE_LIMIT_BYTES} bytes; use POST /jobs"
            self._chunk.append((line.index, BodyTooLarge(words)))
        else:
            self._chunk.append((line.index, line.text))
            self._chunk_bytes += len(line.text)
        is_full = len(self._chunk) >= CHUNK_LINES or self._chunk_bytes >= CHUNK_BYTES
        if is_full or time.monotonic() - self._flushed_at > CHUNK_AGE_S:
            self._flush()

    def _flush(self) -> None:
        """Accept the chunk; the relay publishes it, so that no request waits behind so many."""
        chunk, self._chunk, self._chunk_bytes = self._chunk, [], 0
        holders = self._held([index for index, entry in chunk if isinstance(entry, bytes)])
        entries: list[Prepared | Outcome] = []
        for number, (index, entry) in enumerate(chunk, 1):
            entries.append(
                self._entry(index, entry, holders) if isinstance(entry, bytes) else entry
            )
            if number % LINES_PER_TURN == 0:
                time.sleep(0)
        outcomes = iter(self._accepted([each for each in entries if isinstance(each, Prepared)]))
        ends = [next(outcomes) if isinstance(each, Prepared) else each for each in entries]
        if ends:
            pairs = zip(chunk, ends, strict=True)
            self.answers.put(b"".join(_line(index, outcome) for (index, _), outcome in pairs))
        self._flushed_at = time.monotonic()

    def _held(self, indexes: list[int]) -> dict[str, KeyHolder]:
        """Who holds the keys of these lines."""
        keys = [key for index in indexes if (key := self._key(index))]
        if self._failure is None:
            try:
                return held(self._runtime, keys)
            except ForemanError as error:
                self._failure = error
            except Exception:  # as in `_accepted`
                self._failure = _defect("batch not looked up")
        return {}

    def _key(self, index: int) -> str | None:
        return self._headers.key and f"{self._headers.key}\n{index}"

    def _entry(
        self, index: int, text: bytes, holders: dict[str, KeyHolder]
    ) -> Prepared | Replayed | ForemanError:
        """A line that may be accepted, or what becomes of it without that."""
        key = self._key(index)
        try:
            asked, request = read_job(self._runtime.turns, [text])
            ask = ask_of(asked, request, self._headers, self._origin, key)
            if self._failure is not None:
                return self._failure
            if key in holders:
                return repeat(self._runtime, ask, holders[key])
            return prepare(self._runtime, ask, self._judge)
        except ForemanError as error:
            return error
        except Exception:  # as in `_accepted`
            return _defect("line not prepared")

    def _accepted(self, jobs: list[Prepared]) -> list[Outcome]:
        if jobs and self._failure is None:
            try:
                outcomes = accept_all(self._runtime, jobs, is_published=False)
                log_batch([each.job for each in outcomes if isinstance(each, New)])
                return outcomes
            except ForemanError as error:
                # Not tried again for each chunk: every try may take seconds.
                self._failure = error
            except Exception:  # a defect is told to the client, line by line, and logged here
                self._failure = _defect("batch not accepted")
        return [self._failure or Defect()] * len(jobs)


def _defect(words: str) -> ForemanError:
    """What a client is told of the exception that is being handled, which is logged."""
    log.exception(words)
    return Defect()


def _line(index: int, outcome: Outcome) -> bytes:
    if isinstance(outcome, New | Replayed):
        job_id = str(outcome.job.id if isinstance(outcome, New) else outcome.job_id)
        line = BatchLine(
            index=index,
            status=202,
            id=job_id,
            job_url=job_url(job_id),
            webhook_secret=outcome.webhook_secret,
        )
    else:
        line = BatchLine(
            index=index,
            status=outcome.status,
            error=problem_of(outcome),
            retry_after_s=outcome.retry_after_s,
        )
    return line.model_dump_json(exclude_none=True).encode() + b"\n"
