"""Arrivals for the drain simulation: made up by shape and load, or read from a file."""

from collections import Counter
from pathlib import Path

import pytest

from foreman.core.arrivals import Arrival
from foreman.core.queues import JobClass
from foreman.errors import SettingsError
from foreman.simulation.drain.arrivals import DAY_S, LONGEST_RUN, SHAPES, Load
from foreman.simulation.drain.recorded import read_csv

shapes = pytest.mark.parametrize("shape", SHAPES)


@shapes
def test_arrivals_come_in_order_of_time_and_no_run_is_over_the_limit(shape: str) -> None:
    arrivals = list(SHAPES[shape](Load(jobs=3000)))

    assert [each.at for each in arrivals] == sorted(each.at for each in arrivals)
    assert all(0 <= each.seconds <= LONGEST_RUN * 2.0 for each in arrivals)
    assert len(arrivals) == 3000


@shapes
def test_the_same_seed_gives_the_same_arrivals_and_another_seed_others(shape: str) -> None:
    one, same, other = (list(SHAPES[shape](Load(jobs=200, seed=seed))) for seed in (1, 1, 2))

    assert one == same
    assert one != other


@pytest.mark.parametrize(("shape", "places"), [("poisson", 1), ("poisson", 4), ("diurnal", 1)])
def test_rho_is_the_work_that_comes_for_each_slot_in_a_second(shape: str, places: int) -> None:
    arrivals = list(SHAPES[shape](Load(jobs=60_000, rho=0.5, places=places)))

    span_s = DAY_S if shape == "diurnal" else arrivals[-1].at  # a whole wave
    work_s = sum(each.seconds for each in arrivals if each.at <= span_s)
    assert work_s / (span_s * places) == pytest.approx(0.5, rel=0.05)


def test_the_first_model_is_asked_for_most() -> None:
    counts = Counter(each.queue for each in SHAPES["poisson"](Load(jobs=5000, models=3)))

    assert [queue for queue, _ in counts.most_common()] == ["model-01", "model-02", "model-03"]


def test_a_burst_comes_at_one_moment() -> None:
    arrivals = list(SHAPES["bursts"](Load(jobs=50, burst_jobs=20)))

    assert list(Counter(each.at for each in arrivals).values()) == [20, 20, 10]


def test_batch_jobs_have_their_share() -> None:
    arrivals = list(SHAPES["poisson"](Load(jobs=5000, batch_share=0.25)))

    batch = sum(each.job_class is JobClass.BATCH for each in arrivals)
    assert batch / 5000 == pytest.approx(0.25, abs=0.03)


def test_a_file_is_read_in_order_of_time(tmp_path: Path) -> None:
    path = tmp_path / "jobs.csv"
    path.write_text("time,model,class,seconds\n7.5,b,batch,2\n\n 1 , a ,, 0.5\n")

    assert read_csv(path) == [
        Arrival(1.0, "a", JobClass.INTERACTIVE, 0.5),
        Arrival(7.5, "b", JobClass.BATCH, 2.0),
    ]


def test_a_time_may_be_a_date(tmp_path: Path) -> None:
    path = tmp_path / "jobs.csv"
    path.write_text("2026-01-01T00:00:00Z,a,,1\n2026-01-01T01:00:01+01:00,a,,1\n")

    first, second = read_csv(path)

    assert second.at - first.at == 1.0


@pytest.mark.parametrize(
    "line",
    ["1,a,interactive", "x,a,,1", "1,,,1", "1,a,urgent,1", "1,a,,-1", "1,a,,nan", "nan,a,,1"],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "jobs.csv"
    path.write_text(f"0,a,,1\n{line}\n")

    with pytest.raises(SettingsError, match="line 2"):
        read_csv(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nothing\.csv"):
        read_csv(tmp_path / "nothing.csv")
