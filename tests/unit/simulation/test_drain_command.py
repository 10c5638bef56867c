"""`foreman simulate`: what it prints, draws and refuses."""

import argparse
import importlib.util
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from foreman.core.arrivals import Arrival
from foreman.core.queues import JobClass
from foreman.errors import SettingsError
from foreman.simulation.drain.command import add_arguments, simulate

NO_HISTORY: list[Arrival] = []


def simulated(*options: str, history: Sequence[Arrival] = NO_HISTORY) -> tuple[datetime, datetime]:
    """Run the command; returns the moments that it asked the history for."""
    asked = [(datetime.min, datetime.max)]

    def read_recorded(since: datetime, until: datetime) -> Sequence[Arrival]:
        asked.append((since, until))
        return history

    parser = argparse.ArgumentParser()
    add_arguments(parser)
    simulate(parser.parse_args(options), read_recorded)
    return asked[-1]


def test_each_policy_has_its_swaps_waits_and_violations(capsys: pytest.CaptureFixture[str]) -> None:
    simulated("--jobs", "300", "--policies", "fifo,ours")

    text = capsys.readouterr().out
    assert text.startswith("300 jobs for 4 models on 1 target(s) of 1 slot(s)")
    assert {"fifo", "ours"} <= {line.split(" ")[0] for line in text.splitlines()}
    assert "drain" not in text
    assert "promised" in text


def test_the_figures_come_as_json_too(capsys: pytest.CaptureFixture[str]) -> None:
    simulated("--jobs", "300", "--policies", "fifo,ours", "--json", "--min-visit-swaps", "3")

    told = json.loads(capsys.readouterr().out)
    fifo, ours = told["policies"]
    swaps = told["rules"]["min_visit_swaps"]
    assert (swaps, fifo["policy"], ours["policy"]) == (3.0, "fifo", "ours")
    assert ours["swaps"] < fifo["swaps"]
    assert ours["for_visits"]["interactive"]["violations"] == 0
    assert ours["waits"]["interactive"]["jobs"] + ours["waits"]["batch"]["jobs"] == 300


@pytest.mark.parametrize("learn", [[], ["--learn"]])
def test_clients_and_rooms_are_simulated_too(
    learn: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    simulated(
        "--arrivals=agents", "--models=a=4GiB,b=4GiB,c=4GiB", "--memory=24GiB", "--residents=3",
        "--clients=3", "--jobs=30", "--policies=ollama,fifo,ours", "--json", *learn,
    )  # fmt: skip

    told = json.loads(capsys.readouterr().out)
    ollama, fifo, ours = told["policies"]
    assert (told["jobs"], told["residents"], told["memory"]) == (30, 3, 24 * 2**30)
    assert ollama["loads"] == ours["loads"] == 3
    assert fifo["loads"] > 10
    assert (ours["swaps"], fifo["swaps"]) == (0, fifo["loads"] - 1)


def test_lingers_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    simulated("--arrivals=agents", "--models=2", "--span-s=500", "--policies=ours")

    assert "lingers were answered by a job" in capsys.readouterr().out


def test_the_comparison_with_ollama_has_a_row_for_each_pattern_and_number_of_residents(
    capsys: pytest.CaptureFixture[str],
) -> None:
    simulated("--compare-ollama", "1")

    lines = capsys.readouterr().out.splitlines()
    assert sum(line.strip().startswith("agents") for line in lines) == 3
    assert len(lines) >= 16


def test_a_file_of_arrivals_is_run_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "jobs.csv").write_text("0,a,interactive,2\n1,b,batch,3\n2,a,,4\n")

    simulated("--arrivals", str(tmp_path / "jobs.csv"), "--policies", "ours")

    assert "3 jobs for 2 models" in capsys.readouterr().out


def test_recorded_jobs_are_asked_for_between_two_moments(
    capsys: pytest.CaptureFixture[str],
) -> None:
    recorded = [Arrival(1e9, "a", JobClass.INTERACTIVE, 1.0)]

    since, until = simulated(
        "--arrivals=postgres", "--since=2026-01-01", "--until=2026-01-02T00:00+00:00",
        history=recorded,
    )  # fmt: skip

    assert (since, until - since) == (datetime(2026, 1, 1, tzinfo=UTC), timedelta(days=1))
    assert "1 jobs for 1 models" in capsys.readouterr().out


def test_without_moments_it_is_the_last_day() -> None:
    recorded = [Arrival(1e9, "a", JobClass.INTERACTIVE, 1.0)]

    since, until = simulated("--arrivals=postgres", history=recorded)

    assert until - since == timedelta(days=1)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--policies", "ours,best"], "no policy 'best'"),
        (["--jobs", "0"], "--jobs is at least 1"),
        (["--burst-jobs", "0"], "--burst-jobs is at least 1"),
        (["--rho", "0"], "--rho is more than 0"),
        (["--min-visit-swaps", "-1"], "--min-visit-swaps is 0 or more"),
        (["--linger", "-1"], "--linger is 0 or more"),
        (["--residents", "0"], "--residents is at least 1"),
        (["--models", "a=4GiB,a"], "one that is taken"),
        (["--models", "a=much"], "the size of a must be a size"),
        (["--memory", "24GiB"], "--memory needs a size of model-01"),
        (["--compare-ollama", "0"], "--compare-ollama is at least 1"),
        (["--swap-s", "nan"], "--swap-s is 0 or more"),
        (["--batch-share", "1.1"], "--batch-share is between 0 and 1"),
        (["--arrivals", "postgres"], "there are no arrivals"),
        (["--arrivals", "postgres", "--since", "yesterday"], "'yesterday' is no date"),
        (["--arrivals", "nothing.csv"], "nothing.csv cannot be read"),
    ],
)
def test_what_cannot_be_simulated_is_said_in_a_sentence(options: list[str], sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        simulated(*options)


def test_the_drawing_is_a_file(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / "drawing.png"

    simulated("--jobs", "200", "--targets", "2", "--policies", "fifo,ours", "--plot", str(path))

    assert path.read_bytes().startswith(b"\x89PNG")


def test_a_place_where_nothing_can_be_drawn_is_named(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")

    with pytest.raises(SettingsError, match="cannot be drawn"):
        simulated("--jobs", "20", "--policies", "ours", "--plot", str(tmp_path / "no" / "a.png"))


def test_without_matplotlib_the_drawing_is_refused_before_anything_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)

    with pytest.raises(SettingsError, match="pip install matplotlib"):
        simulated("--plot", str(tmp_path / "drawing.png"))

    assert capsys.readouterr().out == ""
