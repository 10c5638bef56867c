"""A large request body costs the web process and the worker about its size, and no more."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from foreman.simulation.process import SimulationProcess
from tests.bench import bodies
from tests.servers import PostgresServer
from tests.stack import Stack

MIB = 1024 * 1024
SIZE_MIB = 24
# Of its size. Allocators, pieces on their way and the first use of some code are in it, too.
MOST = 1.5

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc"),
    pytest.mark.skipif(
        not os.access(Path("/proc/self/clear_refs"), os.W_OK), reason="the peak cannot be reset"
    ),
]


@pytest.mark.parametrize("num_ctx", [bodies.AS_SENT, "max:8192"])
@pytest.mark.parametrize("post", bodies.WAYS.values(), ids=list(bodies.WAYS))
def test_a_body_that_is_stored_and_sent_is_held_once(
    postgres: PostgresServer,
    template_url: str,
    new_broker_url: Callable[[str], str],
    post: bodies.Post,
    num_ctx: str,
) -> None:
    with SimulationProcess(demo=True, tokens_per_s=0, load_s=0, tokens=5) as target:
        stack = Stack(
            database_url=postgres.create_database(template_url),
            broker_url=new_broker_url("redis"),
            targets=f"gpu={target.url}?slots=2",
            settings=bodies.settings(SIZE_MIB, num_ctx),
        )
        with stack:
            grown = bodies.growth(stack, post, SIZE_MIB * MIB)

    assert max(grown.values()) < MOST, grown
