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
from foreman.api.contract import NDJSON
from foreman.api.jobs import ask_of
from foreman.api.objects import BatchLine, job_url
from foreman.api.payloads import JobHeaders, JobRequest
from foreman.api.problems import problem_of
from foreman.api.reading import parse, read_headers
from foreman.core.lines import Line, Lines
from foreman.errors import BodyTooLarge, ForemanError
from foreman.runtime import WebRuntime
from foreman.services.accept import New, Outcome, Prepared, Replayed, accept_all, prepare
from foreman.services.judge import Judge

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
        intake = _Intake(self._runtime, read_headers(JobHeaders))
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

    def __init__(self, runtime: WebRuntime, headers: JobHeaders) -> None:
        self._runtime = runtime
        self._headers = headers
        self._judge = Judge(runtime)
        self._chunk: list[tuple[int, Prepared | ForemanError]] = []
        self._chunk_bytes = 0
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
                if taken % LINES_PER_TURN == 0:
                    time.sleep(0)
        except ForemanError as error:  # the body ended early, or was too long
            self._add(taken, error)
        except Exception:  # the outermost loop of this thread: the client must get its end
            log.exception("batch failed")
        finally:
            self._flush()
            self.answers.put(b"")

    def _lines(self, lines: Lines) -> Iterator[Line]:
        for piece in client.body_pieces(None, piece_bytes=PIECE_BYTES):
            if not self.is_wanted:
                return
            yield from lines.feed(piece)
        yield from lines.finish()

    def _take(self, line: Line) -> None:
        if line.index >= LINES_LIMIT:
            raise BodyTooLarge(f"a batch has at most {LINES_LIMIT} lines; this and all after it")
        try:
            self._add(line.index, self._prepared(line))
        except ForemanError as error:
            self._add(line.index, error)
        self._chunk_bytes += len(line.text or b"")
        is_full = len(self._chunk) >= CHUNK_LINES or self._chunk_bytes >= CHUNK_BYTES
        if is_full or time.monotonic() - self._flushed_at > CHUNK_AGE_S:
            self._flush()

    def _prepared(self, line: Line) -> Prepared:
        if line.text is None:
            raise BodyTooLarge(f"a line has at most {LINE_LIMIT_BYTES} bytes; use POST /jobs")
        key = self._headers.key and f"{self._headers.key}\n{line.index}"
        ask = ask_of(parse(JobRequest, line.text), self._headers, key)
        return prepare(self._runtime, ask, self._judge)

    def _add(self, index: int, entry: Prepared | ForemanError) -> None:
        self._chunk.append((index, entry))

    def _flush(self) -> None:
        """Accept the chunk; the relay publishes it, so that no request waits behind so many."""
        chunk, self._chunk, self._chunk_bytes = self._chunk, [], 0
        self._flushed_at = time.monotonic()
        jobs = [entry for _, entry in chunk if isinstance(entry, Prepared)]
        outcomes = iter(self._accepted(jobs))
        ends = [
            (index, next(outcomes) if isinstance(entry, Prepared) else entry)
            for index, entry in chunk
        ]
        if ends:
            self.answers.put(b"".join(_line(index, outcome) for index, outcome in ends))

    def _accepted(self, jobs: list[Prepared]) -> list[Outcome]:
        if jobs and self._failure is None:
            try:
                return accept_all(self._runtime, jobs, is_published=False)
            except ForemanError as error:
                # Not tried again for each chunk: every try may take seconds.
                self._failure = error
            except Exception:  # a defect is told to the client, line by line, and logged here
                log.exception("batch not accepted")
                self._failure = ForemanError("internal error; see foreman's log")
        return [self._failure or ForemanError()] * len(jobs)


def _line(index: int, outcome: Outcome) -> bytes:
    if isinstance(outcome, New | Replayed):
        job_id = str(outcome.job.id if isinstance(outcome, New) else outcome.job_id)
        line = BatchLine(
            index=index,
            status=202,
            id=job_id,
            job_url=job_url(job_id),
            webhook_secret=outcome.webhook_secret if isinstance(outcome, New) else None,
        )
    else:
        line = BatchLine(index=index, status=outcome.status, error=problem_of(outcome))
    return line.model_dump_json(exclude_none=True).encode() + b"\n"
