"""The end of a run while the database is away: kept and tried again, until the run is given up."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest

from foreman.core.states import JobState
from foreman.errors import DatabaseUnavailable, ShuttingDown, TargetCut
from foreman.services import ends
from foreman.services.ends import TRIES_AT_LEAST, Ends
from foreman.services.sink import Outcome, Sink
from foreman.store import runs
from foreman.store.db import Database
from tests.unit.services.test_collecting import claim

AWAY_FOR = 4 * TRIES_AT_LEAST


class Away:
    """A database that answers after so many tries; what was written to it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.tries_left = AWAY_FOR
        self.written: list[object] = []
        monkeypatch.setattr(ends, "time", SimpleNamespace(sleep=lambda _: None))
        monkeypatch.setattr(runs, "finish_run", lambda *args, **_: self._write(args[3]))
        monkeypatch.setattr(runs, "give_back", lambda *_, reason, **__: self._write(reason))

    def _write(self, what: object) -> bool:
        self.written.append(what)
        return True

    @contextmanager
    def statement(self) -> Iterator[None]:
        self.tries_left -= 1
        if self.tries_left >= 0:
            raise DatabaseUnavailable("away")
        yield


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> Away:
    return Away(monkeypatch)


def unseen() -> Sink:
    return cast(Sink, SimpleNamespace(is_seen=False, fail=lambda failure: Outcome(status=502)))


def of(database: Away) -> Ends:
    made: Any = database
    return Ends(cast(Database, made))


def test_an_answer_is_kept_until_the_database_takes_its_end(away: Away) -> None:
    of(away).succeed(claim(), Outcome(status=200))

    assert away.written == [JobState.SUCCEEDED]


def test_a_job_that_may_run_again_is_given_back_when_the_database_is_there_again(
    away: Away,
) -> None:
    of(away).fail(claim(), unseen(), TargetCut())

    assert away.written == [TargetCut.code]


def test_a_worker_that_stops_does_not_wait_for_the_database(
    away: Away, caplog: pytest.LogCaptureFixture
) -> None:
    of(away).fail(claim(), unseen(), ShuttingDown(), lambda: True)

    assert (away.written, away.tries_left) == ([], AWAY_FOR - TRIES_AT_LEAST)
    assert "end of a run is lost" in caplog.text
