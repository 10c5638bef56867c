"""When waiting jobs will probably start."""

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from foreman.scheduling.forecast import (
    DEVIATIONS_P90,
    UNFORESEEN,
    ExpectedStay,
    WaitingWork,
    foresee,
    soonest_eta,
)
from foreman.scheduling.values import Demand, Resident
from tests.unit.scheduling.sights import LOAD_S, NOW, RULES, loaded, waits

RUN_S = 2.0
Stays = Mapping[str, Sequence[ExpectedStay]]


def work(queue: str, jobs: int, waited_s: float = 1.0, **changes: Any) -> WaitingWork:
    return WaitingWork(waits(queue, waited_s), jobs, RUN_S, **changes)


def foreseen(
    residents: Sequence[Resident], *works: WaitingWork, places: int = 1, slots: int = 1
) -> Stays:
    given: dict[str, Any] = {"places": places, "slots": slots, "visit_swaps": 10.0}
    return foresee(RULES, NOW, residents, works, **given)


def starts_s(stays: Stays, queue: str, position: int = 0, slots: int = 1) -> float:
    return soonest_eta([(slots, stays[queue])], position=position, run_s=RUN_S).p50_s


def test_jobs_of_a_resident_start_one_run_after_the_other() -> None:
    stays = foreseen([loaded("a")], work("a", 3))

    assert [starts_s(stays, "a", position) for position in range(3)] == [0, 2, 4]


def test_a_taken_slot_is_free_after_half_a_run() -> None:
    assert starts_s(foreseen([loaded("a", running=1)], work("a", 1)), "a") == RUN_S / 2


def test_each_slot_takes_a_job() -> None:
    stays = foreseen([loaded("a")], work("a", 4), slots=2)

    assert [starts_s(stays, "a", position, slots=2) for position in range(4)] == [0, 0, 2, 2]


def test_the_next_residency_starts_when_the_resident_is_drained_and_it_is_loaded() -> None:
    stays = foreseen([loaded("a")], work("a", 3), work("b", 1))

    assert starts_s(stays, "b") == 3 * RUN_S + LOAD_S


def test_with_a_second_place_it_starts_after_its_load() -> None:
    stays = foreseen([loaded("a")], work("a", 3), work("b", 1), places=2)

    assert starts_s(stays, "b") == LOAD_S


def test_the_longest_unserved_is_next_and_the_overdue_before_it() -> None:
    stays = foreseen([], work("b", 1, 5), work("c", 1, 20), work("d", 1, 31))

    assert starts_s(stays, "d") < starts_s(stays, "c") < starts_s(stays, "b")
    old = WaitingWork(waits("e", batch_s=500), 1, RUN_S)
    stays = foreseen([], old, work("d", 1, 31))
    assert starts_s(stays, "d") < starts_s(stays, "e")


def test_what_a_cut_leaves_behind_waits_again() -> None:
    stays = foreseen([], work("b", 100, 5), work("c", 100, 4))

    first, second, *_ = stays["b"]
    # 50 s of dwell and the run that is at work then.
    assert first.jobs == 25
    assert second.starts_s == stays["c"][0].starts_s + 25 * RUN_S + LOAD_S


def test_what_starts_after_the_horizon_is_not_foreseen() -> None:
    stays = foreseen([], work("b", 10_000), work("c", 10_000))

    assert starts_s(stays, "b", position=9_999) == math.inf


def test_a_residency_that_is_loading_starts_when_it_is_loaded() -> None:
    resident = loaded("a", is_loading=True, visit_at=NOW + 3, jobs=0)

    assert starts_s(foreseen([resident], work("a", 1)), "a") == 3


def test_jobs_that_come_meanwhile_are_served_first_where_their_model_is_resident() -> None:
    alone = foreseen([loaded("a")], work("a", 10), work("b", 1))
    busy = foreseen([loaded("a")], work("a", 10, arrives_per_s=0.25), work("b", 1))

    assert starts_s(busy, "b") - LOAD_S == 2 * (starts_s(alone, "b") - LOAD_S)


def test_nine_in_ten_start_later_than_one_in_two_and_the_more_so_the_longer_it_is() -> None:
    stays = foreseen([loaded("a")], work("a", 100))
    soon, late = (soonest_eta([(1, stays["a"])], position=each, run_s=RUN_S) for each in (4, 64))

    assert soon.p90_s == pytest.approx(8 + DEVIATIONS_P90 * math.hypot(4, UNFORESEEN * 8))
    assert late.p90_s - late.p50_s > soon.p90_s - soon.p50_s


def test_a_resident_without_waiting_jobs_keeps_its_place_until_its_run_is_over() -> None:
    stays = foreseen([loaded("a", running=1)], work("a", 0), work("b", 1))

    assert starts_s(stays, "b") == RUN_S / 2 + LOAD_S


def test_next_to_others_a_resident_lingers_before_its_place_is_free() -> None:
    residents = [loaded("a"), loaded("b")]

    stays = foreseen(residents, work("a", 3), work("b", 4), work("c", 1), places=2)

    assert starts_s(stays, "c") == 3 * RUN_S + LOAD_S + LOAD_S


def test_jobs_that_come_before_a_visit_are_served_in_it() -> None:
    stays = foreseen([], work("b", 1, 5, arrives_per_s=0.1), work("c", 1))

    # 1 waits, and 0.5 come during the load; a quarter more while they run.
    assert starts_s(stays, "c") == pytest.approx(LOAD_S + 1.5 * RUN_S * 1.25 + LOAD_S)


def many(residencies: int) -> list[WaitingWork]:
    return [
        WaitingWork(Demand(f"m{number}", NOW - number % 97, None, LOAD_S), 1 + number % 50, RUN_S)
        for number in range(residencies)
    ]


def cpu_s(residencies: int) -> float:
    """The least of some measurements: others use the processor, too."""
    works, taken = many(residencies), []
    for _ in range(5):
        began = time.process_time()
        for _ in range(8):
            foreseen([], *works, places=3, slots=2)
        taken.append(time.process_time() - began)
    return min(taken)


def test_forecasts_for_200_residencies_on_8_targets_take_little_time() -> None:
    assert cpu_s(200) < 0.010 * 3  # measured: 0.005 s


def test_the_time_grows_with_the_residencies_and_not_with_their_square() -> None:
    assert cpu_s(1600) < cpu_s(200) * 8 * 2.5
