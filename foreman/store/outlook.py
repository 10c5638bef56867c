"""What the worker of a target decides by: what waits, what loads cost, what other targets serve."""

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection, Double, extract, func, select

from foreman.core.outlook import Cost
from foreman.core.waiting import Waiting
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


def read_outlook(connection: Connection, target: str, *, keep_embeddings_s: float) -> Outlook:
    """What the target `target` may do next, as the database knows it now."""
    idle = extract("epoch", func.now() - ResidencyCost.served_until).cast(Double)
    costs = select(ResidencyCost.queue, ResidencyCost.swap_s, idle).where(
        ResidencyCost.target == target
    )
    others = (
        select(Resident.queue, Resident.is_loading)
        .join(Target, Target.name == Resident.target)
        .where(Target.name != target, Target.lease_until > func.now(), Target.sick_since.is_(None))
    )
    recent = KeptModel.used_at > func.now() - timedelta(seconds=keep_embeddings_s)
    used = select(KeptModel.model).where(KeptModel.target == target, recent)
    there = connection.execute(others).all()
    return Outlook(
        waiting_queues(connection),
        {queue: Cost(swap_s, idle_s) for queue, swap_s, idle_s in connection.execute(costs)},
        frozenset(row.queue for row in there if not row.is_loading),
        frozenset(row.queue for row in there if row.is_loading),
        frozenset(connection.scalars(used)),
    )
