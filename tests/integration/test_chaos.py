"""Some rows of the chaos command, shortened, on one foreman for each broker.

`python -m tests.chaos` runs all of them at their full length.
"""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.chaos.ground import Ground, Servers
from tests.chaos.row import BROKERS, Row
from tests.chaos.rows import ROWS
from tests.chaos.run import run_row
from tests.servers import PostgresServer
from tests.stack import wait_for

HOLDS, AROUND_S = 0.5, 0.5
# Other tests run meanwhile, and no lease may be lost because of them.
LEASE_S = 6.0
SEED = 1
SHORT = [row for row in ROWS if row.is_short]


@pytest.fixture(scope="module", params=BROKERS)
def ground(
    request: pytest.FixtureRequest, postgres: PostgresServer, template_url: str
) -> Iterator[Ground]:
    broker = request.getfixturevalue("valkey" if request.param == "redis" else "rabbitmq")
    servers = Servers(postgres, broker)
    with Ground(servers, lease_s=LEASE_S, template_url=template_url) as running:
        yield running


@pytest.mark.timeout(300)  # it waits as long as a promise allows on a busy machine
@pytest.mark.parametrize("row", SHORT, ids=[row.name for row in SHORT])
def test_what_is_promised_for_a_fault_holds(row: Row, ground: Ground) -> None:
    wait_for(ground.is_whole, 60, "the foreman is whole")
    short = replace(row, holds=min(row.holds, HOLDS))

    result = run_row(short, ground, SEED, before_s=AROUND_S, after_s=AROUND_S)

    assert result.violations == []
    assert result.requests > 0
    assert result.jobs > 0
