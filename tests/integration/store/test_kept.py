"""Kept models: when they were used, what is still in use, and what memory did not hold."""

from functools import partial

from foreman.store import kept
from tests.integration.store.ground import Store, race

EMBED, OTHER = ("gpu", "embed:latest"), ("gpu", "other:latest")


def test_a_model_that_was_used_is_in_use(store: Store) -> None:
    store.do(kept.note_uses, {EMBED, OTHER})

    assert store.do(kept.recently_used, within_s=60) == {EMBED, OTHER}


def test_a_model_that_was_not_used_for_so_long_is_not(store: Store) -> None:
    store.do(kept.note_uses, {EMBED})
    store.sql("UPDATE kept_models SET used_at = now() - interval '61 s'")

    assert store.do(kept.recently_used, within_s=60) == frozenset()
    assert store.do(kept.recently_used, within_s=62) == {EMBED}


def test_another_use_begins_the_time_anew(store: Store) -> None:
    store.do(kept.note_uses, {EMBED})
    store.sql("UPDATE kept_models SET used_at = now() - interval '1 hour'")

    store.do(kept.note_uses, {EMBED})

    assert store.do(kept.recently_used, within_s=60) == {EMBED}


def test_processes_that_write_the_same_uses_at_once_do_not_block_each_other(store: Store) -> None:
    uses = [(f"gpu{number}", "embed:latest") for number in range(50)]

    race(*[partial(store.do, kept.note_uses, order) for order in (uses, uses[::-1]) * 4])

    assert store.do(kept.recently_used, within_s=60) == set(uses)
