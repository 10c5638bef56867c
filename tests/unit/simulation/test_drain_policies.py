"""The policies that ours is compared with, and how the simulation serves several targets."""

import pytest

from foreman.core.arrivals import Arrival
from foreman.core.queues import JobClass
from foreman.scheduling.values import VisitRules
from foreman.simulation.drain.tally import percentile
from tests.unit.simulation.trace import Trace, play

SWAP_S = 5.0
RULES = VisitRules(job_limit_s=100)


def jobs(text: str, *, every_s: float = 0.1, run_s: float = 10.0) -> list[Arrival]:
    """A job for each letter: small is interactive, capital is batch."""
    return [
        Arrival(
            number * every_s,
            letter.lower(),
            JobClass.BATCH if letter.isupper() else JobClass.INTERACTIVE,
            run_s,
        )
        for number, letter in enumerate(text)
    ]


def played(arrivals: list[Arrival], policy: str = "ours", **fleet: int) -> Trace:
    swap_s = dict.fromkeys(sorted({each.queue for each in arrivals}), SWAP_S)
    return play(arrivals, RULES, swap_s, policy=policy, **fleet)


def served(trace: Trace) -> str:
    """The residencies in the order in which jobs started; batch jobs in capitals."""
    starts = sorted(trace.starts, key=lambda each: each.at)
    return "".join(
        each.job.queue.upper() if each.job.job_class is JobClass.BATCH else each.job.queue
        for each in starts
    )


def test_fifo_serves_in_order_of_arrival_and_swaps_at_each_change() -> None:
    trace = played(jobs("abbaBa"), "fifo")

    assert served(trace) == "abbaBa"
    assert trace.tally.causes.total() == 5


def test_a_drain_serves_all_of_the_loaded_residency_first() -> None:
    assert served(played(jobs("abbaba"), "drain")) == "aaabbb"


def test_within_a_residency_interactive_jobs_go_before_batch_jobs() -> None:
    assert served(played(jobs("aAAaa"), "ours")) == "aaaAA"


def test_a_run_lasts_from_the_first_arrival_whoever_starts_first() -> None:
    trace = played(jobs("Aa", every_s=1.0, run_s=3.0))

    assert served(trace) == "aA"
    assert trace.tally.span_s == pytest.approx(SWAP_S + 2 * 3.0)


def test_requests_for_the_loaded_model_overtake_in_ollama() -> None:
    arrivals = [*jobs("ab"), Arrival(8.0, "a", JobClass.INTERACTIVE, 10.0)]

    assert served(played(arrivals, "ollama")) == "aab"
    assert served(played(arrivals, "fifo")) == "aba"


def test_ollama_loads_again_for_what_waited_behind_another_model() -> None:
    arrivals = jobs("abcbc")

    assert served(played(arrivals, "ollama")) == "abcbc"
    assert served(played(arrivals, "drain")) == "abbcc"


def test_without_a_dwell_each_job_of_a_burst_costs_a_swap() -> None:
    arrivals = jobs("ab" * 40)

    naive, ours = played(arrivals, "naive"), played(arrivals, "ours")

    assert naive.tally.causes.total() > 60
    assert ours.tally.causes.total() < 20


@pytest.mark.parametrize("policy", ["fifo", "ours", "ollama"])
def test_each_slot_runs_one_job_of_the_loaded_residency(policy: str) -> None:
    trace = played(jobs("aaaa", every_s=0.001), policy, slots=2)

    at = sorted(each.at for each in trace.starts)
    assert at == pytest.approx([5.0, 5.0, 15.0, 15.0])


@pytest.mark.parametrize("policy", ["fifo", "ours", "ollama"])
def test_two_targets_load_a_residency_each(policy: str) -> None:
    trace = played(jobs("ab"), policy, targets=2)

    assert {(each.job.queue, each.target) for each in trace.starts} == {("a", 0), ("b", 1)}


def test_a_job_goes_to_the_target_that_has_its_residency() -> None:
    arrivals = [*jobs("ab"), Arrival(50.0, "b", JobClass.INTERACTIVE, 1.0)]

    trace = played(arrivals, targets=2)

    assert [each.target for each in trace.starts] == [0, 1, 1]


def test_another_target_helps_when_the_loaded_one_is_busy_for_longer_than_a_swap() -> None:
    arrivals = [*jobs("ab"), *(Arrival(50.0 + n, "b", JobClass.INTERACTIVE, 60.0) for n in (0, 1))]

    trace = played(arrivals, targets=2)

    assert [each.target for each in trace.starts] == [0, 1, 1, 0]
    # It came at 51 s, was left alone for the 5 s of a swap, and then for the swap itself.
    assert trace.starts[-1].at == pytest.approx(51 + SWAP_S + SWAP_S)


def test_two_targets_do_not_load_the_same_residency_for_one_job() -> None:
    assert played(jobs("a"), targets=2).tally.causes.total() == 1


def test_percentiles_are_values_that_were_measured() -> None:
    assert percentile([], 0.5) == 0.0
    assert [percentile([1.0, 2.0, 3.0, 4.0], part) for part in (0.5, 0.95, 1.0)] == [2.0, 4.0, 4.0]
