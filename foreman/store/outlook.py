"""What the worker of a target decides by: what waits, what loads cost, what other targets serve."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Double, Interval, Select, bindparam, extract, func, select

from foreman.core.outlook import Cost
from foreman.core.waiting import Waiting
from foreman.store.fixed import FixedStatement
from foreman.store.models import KeptModel, ResidencyCost, Resident, Target
from foreman.store.upkeep import waiting_queues


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a target's next decision depends on, apart from its own residents."""

    waiting: list[Waiting]  # of all targets
    costs: dict[str, Cost]  # by model queue
    elsewhere: frozenset[str]  # model queues that other live targets have loaded
    loading_elsewhere: frozenset[str]
    used: frozenset[str]  # models that were embedded with here a short while ago


def _costs() -> Select[Any]:
    idle = extract("epoch", func.now() - ResidencyCost.served_until).cast(Double)
    columns = (ResidencyCost.queue, ResidencyCost.swap_s, idle)
    return select(*columns).where(ResidencyCost.target == bindparam("of_target"))


def _others() -> Select[str, bool]:
    is_live = Target.lease_until > func.now()
    return (
        select(Resident.queue, Resident.is_loading)
        .join(Target, Target.name == Resident.target)
        .where(Target.name != bindparam("of_target"), is_live, Target.sick_since.is_(None))
    )


def _used() -> Select[Any]:
    recent = KeptModel.used_at > func.now() - bindparam("kept_for", type_=Interval())
    return select(KeptModel.model).where(KeptModel.target == bindparam("of_target"), recent)


# Four times a second in each worker: to build them anew took longer than to run them.
_COSTS, _OTHERS, _USED = (FixedStatement(each()) for each in (_costs, _others, _used))


def read_outlook(connection: Connection, target: str, *, keep_embeddings_s: float) -> Outlook:
    """What the target `target` may do next, as the database knows it now."""
    named = {"of_target": target}
    there = _OTHERS.run(connection, named)
    costs = _COSTS.run(connection, named)
    used = _USED.run(connection, named | {"kept_for": timedelta(seconds=keep_embeddings_s)})
    return Outlook(
        waiting_queues(connection),
        {queue: Cost(swap_s, idle_s) for queue, swap_s, idle_s in costs},
        frozenset(row.queue for row in there if not row.is_loading),
        frozenset(row.queue for row in there if row.is_loading),
        frozenset(model for (model,) in used),
    )
