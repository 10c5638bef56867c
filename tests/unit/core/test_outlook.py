"""What a target sees of a residency that another one has, or is loading."""

import pytest

from foreman.core.outlook import Costs, line_beside
from foreman.core.queues import JobClass
from foreman.core.waiting import Waiting

OLD = Waiting("model.a", JobClass.INTERACTIVE, None, "a", 90.0, 7)
OWN = Waiting("model.a", JobClass.BATCH, "gpu2", "a", 1.0, 1)


@pytest.mark.parametrize(
    ("waiting", "resident", "loading", "seen"),
    [
        # waiting, it is resident elsewhere, it is loading elsewhere; interactive, batch, elsewhere
        ([OLD], False, False, (90.0, None, False)),
        ([OLD], True, False, (90.0, None, True)),
        ([OLD], False, True, None),
        ([OLD, OWN], False, False, (90.0, 1.0, False)),
        ([OLD, OWN], True, False, (None, 1.0, False)),
        ([OLD, OWN], False, True, (None, 1.0, False)),
    ],
)
def test_only_what_no_other_may_take_is_not_left_to_the_other(
    waiting: list[Waiting],
    resident: bool,
    loading: bool,
    seen: tuple[float | None, float | None, bool] | None,
) -> None:
    line = line_beside(
        "model.a",
        waiting,
        Costs({}),
        is_resident_elsewhere=resident,
        is_loading_elsewhere=loading,
    )

    shown = line and (line.interactive_s, line.batch_s, line.is_elsewhere)
    assert shown == seen
