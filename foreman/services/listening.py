"""What a web process hears of one job: its frames in order, or why there will be no more.

Frames come from the job's mailbox. After a long silence the job's row is looked at: no client waits
for a run that has ended unheard, or for a target that has been away for too long.
"""

import time
from collections.abc import Sequence
from contextlib import suppress

from foreman.adapters.inbox import Note
from foreman.core.frames import (
    Failure,
    Frame,
    FrameKind,
    Head,
    Position,
    Verdict,
    decode_failure,
    decode_head,
)
from foreman.core.states import END_STATES, JobState
from foreman.errors import (
    ChannelLost,
    ClientLeft,
    DatabaseUnavailable,
    ForemanError,
    JobCancelled,
    ShuttingDown,
    StreamBroken,
    WaitedTooLong,
    WindowOverrun,
)
from foreman.runtime import WebRuntime
from foreman.services.meant import back_within_s, nobody_answers
from foreman.services.submit import Ticket
from foreman.store import jobs

# An end that is in the database reaches the mailbox within this time, or not at all.
LATE_FRAMES_S = 2.0

_NOTES: dict[Note, type[ForemanError]] = {
    Note.GONE: ClientLeft,
    Note.OVERFLOW: WindowOverrun,
    Note.STOPPING: ShuttingDown,
}


class JobFailed(ForemanError):
    """A failure that the worker reported: it carries its own status and code."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.status, self.code = failure.status, failure.code


class Listener:
    """Follows the runs of one job until one of them ends it."""

    def __init__(self, runtime: WebRuntime, ticket: Ticket) -> None:
        self._runtime = runtime
        self._job_id = ticket.job_id
        self._mailbox = ticket.mailbox
        self._position = Position()
        self._ticket = ticket
        self._start_by = time.monotonic() + runtime.settings.sync_wait_s
        self._look_by = time.monotonic() + back_within_s(runtime, self._able())
        self._is_waiting = True  # as far as is known here
        self._heard_at = time.monotonic()
        self._held: Frame | Note | None = None  # taken from the mailbox, and not looked at yet
        self.has_ended = False

    def note_answering(self) -> None:
        """The client gets bytes of this run: no other run can take its place."""
        self._position = Position(self._position.fence, self._position.seq, True)
        self._runtime.answering.put(self._job_id)

    def note_taken(self, size_bytes: int) -> None:
        """The client has taken bytes of this run."""
        self._mailbox.note_taken(self._position.fence, size_bytes)

    def next(self, until: float) -> Head | bytes | None:
        """The next head or bytes (empty at the end); None at `until`; raises what ends it."""
        while True:
            now = time.monotonic()
            limit_s = min(until, self._start_by, self._look_by, self._quiet_until()) - now
            item, self._held = self._held or self._mailbox.take(limit_s), None
            if isinstance(item, Note):
                raise _NOTES[item]()
            if item is not None:
                self._heard_at = time.monotonic()
                event = self._take(item)
                if event is not None:
                    return event
            elif time.monotonic() >= until:
                return None
            else:
                self._look_after_silence()

    def _take(self, frame: Frame) -> Head | bytes | None:
        verdict = self._position.judge(frame)
        if verdict is Verdict.DROP:
            return None
        if verdict is Verdict.BROKEN:
            raise ChannelLost
        if verdict is Verdict.RESTART:
            self._start_by = self._look_by = float("inf")
            self._is_waiting = False
        self._position = self._position.after(frame)
        if frame.kind is FrameKind.HEAD:
            return decode_head(frame.payload)
        if frame.kind is FrameKind.ERROR:
            self.has_ended = True
            raise JobFailed(decode_failure(frame.payload))
        if frame.kind is FrameKind.DATA and not frame.payload:
            self.note_taken(0)  # the worker asks what was taken so far
            return None
        self.has_ended = frame.kind is FrameKind.END
        return frame.payload

    # Silence

    def _quiet_until(self) -> float:
        return self._heard_at + self._runtime.settings.lease_s

    def _look_after_silence(self) -> None:
        """The mailbox was quiet for long: see in the database whether the job still lives."""
        self._heard_at = time.monotonic()
        with suppress(DatabaseUnavailable):
            if time.monotonic() >= self._start_by:
                self._start_by = time.monotonic() + self._runtime.settings.lease_s
                self._expire()
            if self._is_waiting:
                self._look_for_targets()
            with self._runtime.database.statement() as connection:
                ending = jobs.read_ending(connection, self._job_id)
            if ending is None or ending.state in END_STATES:
                self._end_without_frames(ending)

    def _expire(self) -> None:
        with self._runtime.database.statement() as connection:
            if jobs.expire_job(connection, self._job_id):
                self.has_ended = True
                raise WaitedTooLong
        self._start_by = float("inf")  # it is working by now, and bounded otherwise

    def _look_for_targets(self) -> None:
        """Give the job up when its targets have been away for too long."""
        targets = self._able()
        left_s = back_within_s(self._runtime, targets)
        self._look_by = time.monotonic() + (
            left_s if left_s > 0 else self._runtime.settings.lease_s
        )
        if left_s > 0:
            return
        with self._runtime.database.statement() as connection:
            if jobs.give_up_job(connection, self._job_id):
                self.has_ended = True
                raise nobody_answers(self._runtime, targets)

    def _able(self) -> Sequence[str]:
        """The targets that could run the job, by what is known now; those with a worker, if any."""
        found = self._runtime.catalog.look_up(self._ticket.model)
        targets = found.targets if found else self._runtime.catalog.targets
        if self._ticket.pinned_target is not None:
            targets = (self._ticket.pinned_target,)
        return [name for name in targets if name in self._runtime.leased] or targets

    def _end_without_frames(self, ending: jobs.Ending | None) -> None:
        self._held = self._mailbox.take(LATE_FRAMES_S)
        if self._held is not None:
            return
        self.has_ended = True
        if ending is None or ending.state is JobState.SUCCEEDED:
            raise ChannelLost
        if ending.state is JobState.EXPIRED:
            raise WaitedTooLong
        if ending.state is JobState.CANCELLED:
            raise JobCancelled
        raise StreamBroken(ending.error_message or "the job failed")
