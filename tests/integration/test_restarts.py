"""A web process that starts while requests come: each of them is queued."""

from collections.abc import Callable

import pytest

from tests.integration.conftest import NewOllama, NewStack
from tests.restarts import restart_under_load


@pytest.fixture
def broker_url(new_broker_url: Callable[[str], str]) -> str:
    """One broker is enough: nothing here is about it."""
    return new_broker_url("redis")


@pytest.mark.timeout(300)  # each restart imports everything anew
def test_every_generation_has_a_job_although_the_web_process_is_restarted_under_load(
    new_stack: NewStack, new_ollama: NewOllama
) -> None:
    ollama = new_ollama(tokens=3, tokens_per_s=200, slots=4)
    stack = new_stack(ollama, slots=4)

    count = restart_under_load(stack, ollama, times=2)

    assert count.unqueued == 0, count
    assert count.rows == count.statuses[200] >= 30, count
    ran = stack.rows("SELECT coalesce(sum(attempt), 0)::int AS runs FROM jobs")[0]["runs"]
    assert count.generations <= ran, count
