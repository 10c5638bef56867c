"""The states of a job and the moves between them (design, 4)."""

import pytest

from foreman.core.states import END_STATES, MOVES, JobState, can_move

QUEUED, WORKING = JobState.QUEUED, JobState.WORKING
ENDS = {JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED, JobState.EXPIRED}

DESIGN = {
    (QUEUED, WORKING),
    (QUEUED, JobState.CANCELLED),
    (QUEUED, JobState.EXPIRED),
    (WORKING, JobState.SUCCEEDED),
    (WORKING, JobState.FAILED),
    (WORKING, JobState.CANCELLED),
    (WORKING, QUEUED),  # returned by the reaper, or to be tried again
}


def test_the_states_are_those_of_the_design() -> None:
    names = {"queued", "working", "succeeded", "failed", "cancelled", "expired"}

    assert {state.value for state in JobState} == names


def test_the_moves_are_those_of_the_design() -> None:
    moves = {(old, new) for old in JobState for new in JobState if can_move(old, new)}

    assert moves == DESIGN


def test_every_state_has_its_moves_in_the_table() -> None:
    assert set(MOVES) == set(JobState)


def test_the_end_states_are_those_that_nothing_leaves() -> None:
    assert END_STATES == ENDS


@pytest.mark.parametrize("end", sorted(ENDS))
def test_no_move_leaves_an_end_state(end: JobState) -> None:
    assert not [new for new in JobState if can_move(end, new)]


@pytest.mark.parametrize("state", JobState)
def test_every_state_can_be_reached(state: JobState) -> None:
    assert state is QUEUED or [old for old in JobState if can_move(old, state)]
