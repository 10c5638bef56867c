"""How a residency's jobs follow each other: lingering, and who is expected next."""

import pytest

from foreman.scheduling.rhythm import (
    ARRIVALS_KEPT,
    FEWEST_LINGERS,
    GAPS_KEPT,
    NO_RHYTHM,
    Rhythm,
)


def with_gaps(*gaps: float) -> Rhythm:
    return Rhythm(gaps=gaps)


def test_nothing_is_predicted_from_a_single_gap() -> None:
    assert with_gaps(0.1).linger_s(10) == 0
    assert with_gaps(0.1, 0.1).linger_s(10) == 0.1


def test_a_residency_lingers_until_nine_in_ten_of_its_gaps_are_over() -> None:
    gaps = [0.1 * number for number in range(1, 11)]

    assert with_gaps(*gaps).linger_s(10) == pytest.approx(1.0)


def test_it_never_lingers_for_longer_than_the_swap_takes() -> None:
    assert with_gaps(1, 1, 1, 1, 8).linger_s(4) == 4


def test_it_does_not_linger_where_fewer_than_half_of_the_gaps_are_shorter_than_the_swap() -> None:
    assert with_gaps(1, 60, 60).linger_s(10) == 0


def test_it_does_not_linger_where_the_gaps_would_have_cost_more_than_they_saved() -> None:
    # Half would be answered, and save 1 s each; the others cost 10 s each.
    assert with_gaps(9, 9, 60, 60).linger_s(10) == 0


def test_lingers_that_saved_less_than_they_took_stop_it_and_new_gaps_bring_it_back() -> None:
    rhythm = with_gaps(*[0.5] * 10)
    for _ in range(FEWEST_LINGERS):
        rhythm = rhythm.lingered(5.0, saved_s=0.0)

    assert rhythm.is_stopped
    assert rhythm.linger_s(10) == 0
    assert rhythm.arrived(1.0, gap_s=0.5).linger_s(10) > 0


def test_lingers_that_pay_go_on() -> None:
    rhythm = with_gaps(*[0.5] * 10)
    for _ in range(FEWEST_LINGERS):
        rhythm = rhythm.lingered(0.5, saved_s=10.0)

    assert not rhythm.is_stopped


def test_it_remembers_the_last_arrivals_and_gaps_only() -> None:
    rhythm = NO_RHYTHM
    for number in range(200):
        rhythm = rhythm.arrived(float(number), gap_s=float(number))

    assert len(rhythm.arrivals) == ARRIVALS_KEPT
    assert rhythm.gaps == tuple(float(number) for number in range(200 - GAPS_KEPT, 200))


def test_the_next_job_is_expected_as_the_last_ones_came() -> None:
    rhythm = Rhythm(arrivals=(0.0, 10.0, 20.0, 30.0))

    assert rhythm.expected_s(40.0) == 10.0


def test_a_residency_that_fell_silent_is_expected_later_and_later() -> None:
    rhythm = Rhythm(arrivals=(0.0, 10.0))

    assert rhythm.expected_s(1000.0) == 500.0
    assert NO_RHYTHM.expected_s(0.0) == float("inf")
