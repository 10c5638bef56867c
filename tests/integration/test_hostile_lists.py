"""Lists of a hostile target: they are given up, and nobody else waits for them meanwhile."""

import http.client
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from urllib.parse import urlsplit

import pytest

from tests.fakes.hostile_lists import HostileLists, brackets
from tests.servers import PostgresServer
from tests.stack import Stack

MIB = 1024 * 1024
# CPU time: it does not matter who else is busy on the machine.
LONGEST_STALL_S = 0.1
LIST = b'{"models":[{"name":"m:latest","capabilities":["completion"]}]}'
PASSED_ON = ["/api/tags", "/api/ps", "/v1/models", "/", "/api/version", "/v1/models/m"]


@pytest.mark.parametrize("size_mib", [3.9, 16])
def test_no_list_stops_the_event_loop(size_mib: float) -> None:
    body = brackets(int(size_mib * MIB), models=b'{"name":"m"}')
    lists = dict.fromkeys(("/api/tags", "/v1/models", "/api/show"), body) | {"/api/version": None}
    with HostileLists(lists) as target:
        patched = [sys.executable, "-m", "gevent.monkey", "--module"]
        command = [*patched, "tests.bench.stalls", target.url]
        printed = subprocess.run(command, capture_output=True, check=True, timeout=120).stdout

    stalls = json.loads(printed)
    assert len(stalls) == 4
    assert max(stalls.values()) < LONGEST_STALL_S, stalls


@pytest.fixture(scope="module")
def target() -> Iterator[HostileLists]:
    with HostileLists({"/api/tags": LIST}) as running:
        yield running


@pytest.fixture(scope="module")
def stack(
    target: HostileLists,
    postgres: PostgresServer,
    template_url: str,
    new_broker_url: Callable[[str], str],
) -> Iterator[Stack]:
    with Stack(
        database_url=postgres.create_database(template_url),
        broker_url=new_broker_url("redis"),
        targets=f"gpu={target.url}?slots=2",
    ) as running:
        yield running


@pytest.fixture(autouse=True)
def fresh(target: HostileLists) -> Iterator[None]:
    yield
    target.lists = {"/api/tags": LIST}


@contextmanager
def asked(stack: Stack, path: str) -> Iterator[http.client.HTTPResponse]:
    connection = http.client.HTTPConnection(urlsplit(stack.url).netloc, timeout=60)
    with closing(connection):
        # By name: such a target is away as soon as its own list is read.
        connection.request("GET", path, headers={"X-Foreman-Target": "gpu"})
        yield connection.getresponse()


@pytest.mark.parametrize("path", PASSED_ON)
def test_an_endless_answer_is_cut_at_16_mib_so_that_its_client_notices(
    stack: Stack, target: HostileLists, path: str
) -> None:
    target.lists[path] = None

    with asked(stack, path) as answer, pytest.raises(http.client.IncompleteRead) as cut:
        answer.read()

    assert 15 * MIB < len(cut.value.partial) <= 16 * MIB
    assert answer.status == 200


@pytest.mark.parametrize("path", PASSED_ON)
def test_an_answer_that_is_announced_as_too_large_is_an_error_in_the_form_of_its_route(
    stack: Stack, target: HostileLists, path: str
) -> None:
    target.lists[path] = brackets(17 * MIB)

    with asked(stack, path) as answer:
        error = json.loads(answer.read())["error"]

    words = f"the answer of target gpu has more than {16 * MIB} bytes"
    assert answer.status == 502
    if path.startswith("/v1/"):
        assert (error["code"], error["message"]) == ("answer_too_large", words)
    else:
        assert error == words
