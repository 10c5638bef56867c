"""What a worker sees of a residency that another target has, or is loading."""

import pytest

from foreman.core.queues import JobClass
from foreman.core.waiting import Waiting
from foreman.worker.steps.plan import demand_of
from tests.unit.worker.scene import known, queue, ready

_QUEUE = queue("b")
OLD = Waiting(_QUEUE, JobClass.INTERACTIVE, None, "b:latest", 20.0, 7)
OWN = Waiting(_QUEUE, JobClass.BATCH, "gpu", "b:latest", 1.0, 1)


@pytest.mark.parametrize(
    ("waiting", "resident", "loading", "seen"),
    [
        # waiting, it is resident elsewhere, it is loading elsewhere; seconds, jobs, elsewhere
        ([OLD], False, False, (20.0, None, 7, False)),
        ([OLD], True, False, (20.0, None, 7, True)),
        ([OLD], False, True, None),
        ([OLD, OWN], False, False, (20.0, 1.0, 8, False)),
        ([OLD, OWN], True, False, (None, 1.0, 1, False)),
        ([OLD, OWN], False, True, (None, 1.0, 1, False)),
    ],
)
def test_only_what_no_other_may_take_is_not_left_to_the_other(
    waiting: list[Waiting],
    resident: bool,
    loading: bool,
    seen: tuple[float | None, float | None, int, bool] | None,
) -> None:
    there = frozenset({_QUEUE})
    scene = ready("a", view=known("a", "b"))
    scene.view |= {
        "waiting": {_QUEUE: tuple(waiting)},
        "elsewhere": there if resident else frozenset(),
        "loading_elsewhere": there if loading else frozenset(),
    }
    scene.passes(3)

    demand = demand_of(scene.state, _QUEUE)

    at = scene.state.view.at
    shown = demand and (
        None if demand.interactive_at is None else at - demand.interactive_at,
        None if demand.batch_at is None else at - demand.batch_at,
        demand.jobs,
        demand.is_elsewhere,
    )
    assert shown == seen
