"""How a residency's jobs follow each other: lingering, and who is expected next."""

import pytest

from foreman.scheduling.rhythm import (
    ARRIVALS_KEPT,
    FEWEST_LINGERS,
    GAPS_KEPT,
    MOST_CREDIT,
    NO_RHYTHM,
    Lingered,
    Rhythm,
    credit_after,
)


def with_gaps(*gaps: float) -> Rhythm:
    return Rhythm(gaps=gaps)


def linger_s(rhythm: Rhythm, swap_s: float) -> float:
    return rhythm.lingers_until(0.0, swap_s, credit=0.0)


def test_nothing_is_predicted_from_a_single_gap() -> None:
    assert linger_s(with_gaps(0.1), 10) == 0
    assert linger_s(with_gaps(0.1, 0.1), 10) == 0.2


def test_a_residency_lingers_for_twice_as_long_as_nine_in_ten_of_its_gaps() -> None:
    gaps = [0.1 * number for number in range(1, 11)]

    assert linger_s(with_gaps(*gaps), 10) == pytest.approx(2.0)


def test_before_its_gaps_are_known_it_lingers_for_one_swap_after_its_answer() -> None:
    rhythm = NO_RHYTHM.arrived(0.0).answered(20.0)

    assert rhythm.lingers_until(20.0, 5.0, MOST_CREDIT) == 25.0
    assert rhythm.lingers_until(20.0, 5.0, 0.5) == 22.5
    assert rhythm.lingers_until(20.0, 5.0, 0.0) == 20.0


def test_answers_that_nobody_asked_after_count_as_if_it_had_lingered() -> None:
    rhythm = NO_RHYTHM.arrived(0.0).arrived(1.0).answered(10.0).answered(12.0)
    later = rhythm.answered(16.0)

    assert rhythm.lingers_until(12.0, 5.0, MOST_CREDIT) == 15.0
    assert later.lingers_until(16.0, 5.0, MOST_CREDIT) == 16.0
    again = later.arrived(17.0).answered(18.0)
    assert again.lingers_until(18.0, 5.0, MOST_CREDIT) == 23.0


def test_an_arrival_that_is_reported_late_is_no_answer_to_what_came_after_it() -> None:
    rhythm = NO_RHYTHM.arrived(0.0).answered(10.0).arrived(9.0)

    assert rhythm.silent_since == 10.0


def test_one_gap_as_long_as_the_swap_is_enough_not_to_try_it() -> None:
    rhythm = NO_RHYTHM.arrived(0.0).answered(1.0).arrived(9.0, gap_s=8.0).answered(10.0)

    assert rhythm.lingers_until(10.0, 8.0, MOST_CREDIT) == 10.0
    assert rhythm.lingers_until(10.0, 9.0, MOST_CREDIT) == 19.0


def test_what_is_tried_costs_two_loads_more_than_lingers_have_saved_and_no_more() -> None:
    credit = MOST_CREDIT
    for _ in range(5):
        credit = credit_after(credit, Lingered(5.0, saved_s=0.0), load_s=5.0)
    assert credit == 0.0

    credit = credit_after(credit, Lingered(1.0, saved_s=5.0), load_s=5.0)
    assert credit == pytest.approx(0.8)
    for _ in range(5):
        credit = credit_after(credit, Lingered(1.0, saved_s=5.0), load_s=5.0)
    assert credit == MOST_CREDIT
    assert credit_after(credit, Lingered(1.0, saved_s=0.0), load_s=0.0) == MOST_CREDIT


def test_it_never_lingers_for_longer_than_the_swap_takes() -> None:
    assert linger_s(with_gaps(1, 1, 1, 1, 8), 4) == 4


def test_it_does_not_linger_where_fewer_than_half_of_the_gaps_are_shorter_than_the_swap() -> None:
    assert linger_s(with_gaps(1, 60, 60), 10) == 0


def test_it_does_not_linger_where_the_gaps_would_have_cost_more_than_they_saved() -> None:
    # Half would be answered, and save 1 s each; the others cost 10 s each.
    assert linger_s(with_gaps(9, 9, 60, 60), 10) == 0


def test_lingers_that_saved_less_than_they_took_stop_it_and_new_gaps_bring_it_back() -> None:
    rhythm = with_gaps(*[0.5] * 10)
    for _ in range(FEWEST_LINGERS):
        rhythm = rhythm.lingered(Lingered(5.0, saved_s=0.0))

    assert rhythm.is_stopped
    assert linger_s(rhythm, 10) == 0
    assert linger_s(rhythm.arrived(1.0, gap_s=0.5), 10) > 0


def test_lingers_that_pay_go_on() -> None:
    rhythm = with_gaps(*[0.5] * 10)
    for _ in range(FEWEST_LINGERS):
        rhythm = rhythm.lingered(Lingered(0.5, saved_s=10.0))

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
