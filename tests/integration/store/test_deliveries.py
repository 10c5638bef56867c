"""The ledger: what is shown of deliveries, and sending them again."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from foreman.core.states import DeliveryState
from foreman.core.webhooks import AttemptError, Outcome, Verdict
from foreman.errors import SecretUnreadable
from foreman.ids import new_id
from foreman.refusals import WebhookRefused
from foreman.store import deliveries, hooks
from foreman.store.hooks import hook_for
from foreman.store.sealing import Seal
from foreman.store.sending import Claim, Due, Tried, claim_due, record_attempts
from tests.factories import new_job
from tests.integration.store.ground import Store, race
from tests.integration.store.ledger import SECRET, URL, Ledger, settings
from tests.stack import wait_for

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
FAR = datetime(2120, 1, 1, tzinfo=UTC)
KEY, OTHER_KEY = "a" * 43 + "=", "b" * 43 + "="
PENDING, SUCCEEDED, FAILED = DeliveryState.PENDING, DeliveryState.SUCCEEDED, DeliveryState.FAILED

GOOD = (Outcome(7, 200, excerpt=b"thanks"), Verdict(SUCCEEDED))
BAD = (Outcome(9, 500, AttemptError.HTTP), Verdict(PENDING, 300.0))
LAST = (Outcome(9, None, AttemptError.TIMEOUT), Verdict(FAILED))


@pytest.fixture
def ledger(store: Store) -> Ledger:
    return Ledger(store)


def claim(
    ledger: Ledger,
    *,
    room: int = 100,
    unproven_room: int = 100,
    proven: Sequence[str] = (),
    at_once: int = 100,
) -> list[Due]:
    with ledger.store.database.transaction() as connection:
        return claim_due(
            connection,
            room=room,
            unproven_room=unproven_room,
            proven=proven,
            at_once=at_once,
            lease_s=30.0,
        )


def record(ledger: Ledger, due: Due, result: tuple[Outcome, Verdict]) -> set[Claim]:
    with ledger.store.database.transaction() as connection:
        return record_attempts(connection, [Tried(due, *result)])


def tried(ledger: Ledger, result: tuple[Outcome, Verdict]) -> UUID:
    """A delivery with one attempt."""
    job = ledger.accept()
    (due,) = claim(ledger)
    assert due.job_id == job.id
    record(ledger, due, result)
    return due.id


def show(ledger: Ledger, delivery_id: UUID) -> deliveries.DeliveryRow:
    rows = ledger.store.do(deliveries.list_all, limit=1000)
    return next(row for row in rows if row.id == delivery_id)


def test_a_delivery_is_shown_with_its_attempts(ledger: Ledger) -> None:
    delivery_id = tried(ledger, BAD)
    ledger.pass_time()
    record(ledger, claim(ledger)[0], GOOD)

    row = show(ledger, delivery_id)

    assert (row.type, row.seq, row.url, row.state) == ("job.queued", 1, URL, SUCCEEDED)
    assert row.next_at is None
    assert row.ended_at is not None
    told = [(each.number, each.status, each.ms, each.excerpt) for each in row.attempts]
    assert told == [(1, 500, 9, ""), (2, 200, 7, "thanks")]
    assert [each.error_class for each in row.attempts] == [AttemptError.HTTP, None]


def test_the_deliveries_of_a_job_are_in_the_order_of_its_events(ledger: Ledger) -> None:
    job_id = ledger.ended()
    ledger.ended()

    rows = ledger.store.do(deliveries.list_deliveries, job_id)

    assert [(row.job_id, row.seq, row.state) for row in rows] == [
        (job_id, seq, PENDING) for seq in (1, 2, 3)
    ]
    assert all(row.next_at for row in rows)


def test_an_unknown_job_has_no_deliveries(ledger: Ledger) -> None:
    assert ledger.store.do(deliveries.list_deliveries, new_id()) == []


def test_all_are_listed_newest_first_by_pages(ledger: Ledger) -> None:
    for _ in range(5):
        ledger.accept()
    ledger.accept_all([new_job() for _ in range(5)])  # of one moment

    pages, after = [], None
    while page := ledger.store.do(deliveries.list_all, limit=3, after=after):
        pages += page
        after = page[-1].id

    ages = [(row.created_at, row.id) for row in pages]
    assert len(pages) == 10
    assert ages == sorted(ages, reverse=True)


def test_the_list_can_be_of_one_state(ledger: Ledger) -> None:
    failed, succeeded = tried(ledger, LAST), tried(ledger, GOOD)

    def listed(state: DeliveryState) -> list[UUID]:
        return [row.id for row in ledger.store.do(deliveries.list_all, state=state)]

    assert (listed(FAILED), listed(SUCCEEDED), listed(PENDING)) == ([failed], [succeeded], [])


@pytest.mark.parametrize("result", [GOOD, BAD, LAST], ids=["succeeded", "pending", "failed"])
def test_a_delivery_can_be_sent_again_whatever_became_of_it(
    ledger: Ledger, result: tuple[Outcome, Verdict]
) -> None:
    delivery_id = tried(ledger, result)
    before = ledger.store.sql("SELECT body, fence FROM deliveries")[0]
    assert claim(ledger) == []

    row = ledger.store.do(deliveries.redeliver, delivery_id)

    assert row
    assert (row.id, row.state, row.ended_at, len(row.attempts)) == (delivery_id, PENDING, None, 1)
    (due,) = claim(ledger)
    assert (due.id, due.body, due.fence) == (delivery_id, before["body"], before["fence"] + 1)
    record(ledger, due, GOOD)
    assert [each.number for each in show(ledger, delivery_id).attempts] == [1, 2]
    assert claim(ledger) == []  # it took the place of the one that was waited for


def test_an_unknown_delivery_is_not_sent_again(ledger: Ledger) -> None:
    assert ledger.store.do(deliveries.redeliver, new_id()) is None


def test_a_receiver_that_was_gone_can_be_tried_by_hand(ledger: Ledger) -> None:
    gone = (Outcome(1, 410, AttemptError.HTTP), Verdict(FAILED, is_gone=True))
    delivery_id = tried(ledger, gone)

    ledger.store.do(deliveries.redeliver, delivery_id)

    assert [due.id for due in claim(ledger)] == [delivery_id]


def replay(
    ledger: Ledger,
    state: DeliveryState | None = None,
    *,
    since: datetime = LONG_AGO,
    until: datetime = FAR,
    after: deliveries.Place | None = None,
) -> deliveries.Replay:
    chosen = deliveries.Chosen(since=since, until=until, state=state, after=after)
    return ledger.store.do(deliveries.replay, chosen)


def test_failed_ones_of_a_time_can_be_sent_again_together(ledger: Ledger) -> None:
    failed = {tried(ledger, LAST) for _ in range(3)}
    tried(ledger, GOOD)

    assert replay(ledger, FAILED).count == 3
    assert {due.id for due in claim(ledger)} == failed


def test_only_those_of_the_time_are_sent_again(ledger: Ledger) -> None:
    old, new = tried(ledger, LAST), tried(ledger, LAST)
    now = datetime.now(UTC)
    ledger.store.sql("UPDATE deliveries SET created_at = :at WHERE id = :id",
                     at=now - timedelta(days=1), id=old)  # fmt: skip

    assert replay(ledger, until=now - timedelta(hours=1)).count == 1
    assert show(ledger, old).state is PENDING
    assert show(ledger, new).state is FAILED


def test_a_replay_goes_in_batches_to_its_limit(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries, "REPLAY_BATCH", 2)
    monkeypatch.setattr(deliveries, "REPLAY_LIMIT", 6)
    ledger.accept_all([new_job() for _ in range(5)])
    assert replay(ledger) == deliveries.Replay(5, None)

    ledger.accept_all([new_job() for _ in range(5)])
    assert replay(ledger).count == 6


def test_a_replay_goes_through_its_time_once_call_by_call(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries, "REPLAY_BATCH", 2)
    monkeypatch.setattr(deliveries, "REPLAY_LIMIT", 4)
    ledger.accept_all([new_job() for _ in range(10)])  # of one moment

    counts, after, sent = [], None, 0
    while True:
        ledger.store.sql("UPDATE deliveries SET next_at = :far WHERE state = 'pending'", far=FAR)
        done = replay(ledger, after=after)
        due = ledger.store.sql("SELECT count(*) FROM deliveries WHERE next_at <= now()")[0]["count"]
        counts.append(done.count)
        sent += due
        assert due == done.count
        ledger.store.sql("UPDATE deliveries SET fence = fence + 1 WHERE next_at <= now()")
        if (after := done.last) is None:
            break

    assert (counts, sent) == ([4, 4, 2], 10)
    assert ledger.store.sql("SELECT DISTINCT fence FROM deliveries") == [{"fence": 1}]


def test_a_claim_is_taken_once(ledger: Ledger) -> None:
    ledger.accept_all([new_job() for _ in range(20)])

    claimed = race(*[lambda: claim(ledger, room=10)] * 4)

    ids = [due.id for each in claimed for due in each]
    assert len(ids) == len(set(ids)) == 20


def test_a_claim_sees_what_another_one_is_about_to_claim(ledger: Ledger) -> None:
    ledger.accept_all([new_job() for _ in range(2)])
    waiting = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    with ThreadPoolExecutor(1) as threads:
        with ledger.store.database.transaction() as connection:
            (first,) = claim_due(
                connection, room=9, unproven_room=9, proven=(), at_once=1, lease_s=30.0
            )
            # The other one is now the one that would be chosen.
            ledger.store.sql(
                "UPDATE deliveries SET next_at = now() - interval '1 h' WHERE id <> :id",
                id=first.id,
            )
            second = threads.submit(claim, ledger, at_once=1)
            wait_for(lambda: ledger.store.sql(waiting) or second.done())

        assert second.result(10) == []


def test_racing_claims_keep_a_receivers_limit(ledger: Ledger) -> None:
    ledger.accept_all([new_job() for _ in range(20)])

    for _ in range(20):
        claimed = race(*[lambda: claim(ledger, at_once=3)] * 4)

        assert sum(len(each) for each in claimed) == 3
        ledger.pass_time()


NAMES = [f"https://r{number}.test:443" for number in range(3)]


@pytest.mark.parametrize("proven", [[], NAMES, NAMES[1:]])
def test_everybodys_first_comes_before_anybodys_second(ledger: Ledger, proven: list[str]) -> None:
    for number in range(3):
        ledger.accept_all([new_job() for _ in range(10)], url=f"https://r{number}.test/")

    receivers = [due.receiver for due in claim(ledger, room=6, proven=proven)]

    assert sorted(receivers) == sorted(NAMES * 2)


def test_the_unproven_get_only_their_places(ledger: Ledger) -> None:
    for number in range(3):
        ledger.accept_all([new_job() for _ in range(10)], url=f"https://r{number}.test/")

    receivers = [due.receiver for due in claim(ledger, room=9, unproven_room=1, proven=NAMES[:1])]

    assert receivers.count(NAMES[0]) == 8
    assert len(receivers) == 9


def test_a_record_with_an_old_fence_does_nothing(ledger: Ledger) -> None:
    ledger.accept()
    (old,) = claim(ledger)
    ledger.pass_time()
    (new,) = claim(ledger)
    assert new.fence == old.fence + 1

    assert record(ledger, old, GOOD) == set()
    assert ledger.attempts(old.id) == []
    assert record(ledger, new, BAD) == {new.claim}
    assert record(ledger, new, GOOD) == set()  # nor twice with the same one


def test_of_two_claims_that_are_recorded_together_the_newer_counts(ledger: Ledger) -> None:
    ledger.accept()
    (old,) = claim(ledger)
    ledger.pass_time()
    (new,) = claim(ledger)
    gone = (Outcome(1, 410, AttemptError.HTTP), Verdict(FAILED, is_gone=True))

    with ledger.store.database.transaction() as connection:
        taken = record_attempts(connection, [Tried(old, *gone), Tried(new, *GOOD)])

    assert taken == {new.claim}
    assert [row["status"] for row in ledger.attempts(new.id)] == [200]
    assert show(ledger, new.id).state is SUCCEEDED
    assert ledger.store.sql("SELECT gone_at FROM hooks") == [{"gone_at": None}]


def test_a_record_of_a_job_that_was_removed_does_nothing(ledger: Ledger) -> None:
    ledger.accept()
    (due,) = claim(ledger)
    ledger.store.sql("DELETE FROM jobs")

    assert record(ledger, due, GOOD) == set()


# Who is told


def test_a_job_that_names_no_receiver_has_the_default_one_or_none() -> None:
    job_id = new_id()
    assert hook_for(settings(), job_id, None) is None

    hook = hook_for(settings(FOREMAN_WEBHOOK_URL=URL), job_id, None)

    assert hook
    assert (hook.job_id, hook.url, hook.events, hook.secrets) == (job_id, URL, None, ())


def test_a_receiver_of_ones_own_never_gets_foremans_signature() -> None:
    chosen = settings(FOREMAN_WEBHOOK_URL=URL, FOREMAN_WEBHOOK_SECRET=SECRET)

    hook = hook_for(chosen, new_id(), "https://mine.test/")

    assert hook
    assert hook.shown_secret
    assert hook.secrets == (hook.shown_secret,) != (SECRET,)


def test_a_secret_of_ones_own_is_kept_sealed() -> None:
    chosen = settings(FOREMAN_SECRET_KEY=KEY)

    hook = hook_for(chosen, new_id(), URL, ["job.failed"], SECRET)

    assert hook
    assert hook.events == ("job.failed",)
    assert hook.shown_secret is None
    assert SECRET not in repr(hook) + hook.secrets[0]
    assert Seal([KEY]).open(hook.secrets[0]) == SECRET


@pytest.mark.parametrize(
    ("events", "secret", "field"),
    [(["job.done"], None, "webhook.events"), (None, "short", "webhook.secret")],
)
def test_a_hook_that_cannot_be_is_refused_by_its_field(
    events: list[str] | None, secret: str | None, field: str
) -> None:
    with pytest.raises(WebhookRefused) as refused:
        hook_for(settings(), new_id(), URL, events, secret)

    assert refused.value.field == field


def test_a_key_can_be_changed_for_another() -> None:
    sealed = Seal([KEY]).seal(SECRET)

    assert Seal([OTHER_KEY, KEY]).open(sealed) == SECRET
    assert Seal([OTHER_KEY]).open(SECRET) == SECRET  # kept before there was a key
    for keys in ([OTHER_KEY], []):
        with pytest.raises(SecretUnreadable):
            Seal(keys).open(sealed)


def test_a_job_without_a_secret_of_its_own_has_none_to_rotate(ledger: Ledger) -> None:
    job = ledger.accept(secrets=())

    assert ledger.store.do(hooks.rotate_secret, settings(), job.id) is None
    assert ledger.store.do(hooks.rotate_secret, settings(), new_id()) is None


def test_after_two_rotations_the_two_newest_secrets_are_left(ledger: Ledger) -> None:
    job = ledger.accept()
    first = ledger.store.do(hooks.rotate_secret, settings(), job.id)
    second = ledger.store.do(hooks.rotate_secret, settings(), job.id)

    assert ledger.store.sql("SELECT secrets FROM hooks")[0]["secrets"] == [second, first]
