"""Embedding models: which were used where, and are therefore kept loaded for a while."""

from collections.abc import Collection
from datetime import timedelta

from sqlalchemy import Connection, func, select
from sqlalchemy.dialects.postgresql import insert as upsert

from foreman.store.models import KeptModel


def note_uses(connection: Connection, uses: Collection[tuple[str, str]]) -> None:
    """Write that these models (target, canonical name) were used just now."""
    # In one order for everybody: two processes that write the same rows must not wait in a ring.
    rows = [{"target": target, "model": model} for target, model in sorted(uses)]
    statement = upsert(KeptModel).values(rows)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=[KeptModel.target, KeptModel.model], set_={"used_at": func.now()}
        )
    )


def recently_used(connection: Connection, *, within_s: float) -> frozenset[tuple[str, str]]:
    """The models (target, canonical name) whose last use is no longer ago than `within_s`."""
    recent = KeptModel.used_at > func.now() - timedelta(seconds=within_s)
    statement = select(KeptModel.target, KeptModel.model).where(recent)
    return frozenset((row.target, row.model) for row in connection.execute(statement))
