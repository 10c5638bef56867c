"""How long a visit lasts before it may be cut, by the target's load."""

import pytest

from foreman.scheduling.visits import (
    FEWEST_SWAPS,
    FORCED_SHARE,
    MEASURED_OVER_S,
    MOST_SWAPS,
    measured,
    most_visit_swaps,
    visit_swaps,
)


def test_a_number_that_is_set_is_the_number_at_any_load() -> None:
    assert visit_swaps(7.0, 0.0) == visit_swaps(7.0, 1.0) == most_visit_swaps(7.0) == 7.0


@pytest.mark.parametrize("utilization", [0.7, 0.8, 0.9, 0.94])
def test_forced_loads_take_at_most_their_share_of_the_time_that_work_leaves_free(
    utilization: float,
) -> None:
    swaps = visit_swaps(None, utilization)

    assert 1 / (swaps + 1) == pytest.approx(FORCED_SHARE * (1 - utilization))


@pytest.mark.parametrize(("utilization", "swaps"), [(0.0, FEWEST_SWAPS), (1.0, MOST_SWAPS)])
def test_it_stays_within_its_limits(utilization: float, swaps: float) -> None:
    assert visit_swaps(None, utilization) == swaps


def test_it_grows_with_the_load_and_the_bound_assumes_the_most() -> None:
    found = [visit_swaps(None, step / 100) for step in range(101)]

    assert found == sorted(found)
    assert max(found) == most_visit_swaps(None)


def test_the_share_of_time_at_work_follows_the_last_minutes() -> None:
    after = measured(0.0, at_work=True, seconds=MEASURED_OVER_S)

    assert after == pytest.approx(0.632, abs=0.001)
    assert measured(after, at_work=False, seconds=0.0) == after
    assert measured(1.0, at_work=False, seconds=1e6) == pytest.approx(0.0)
