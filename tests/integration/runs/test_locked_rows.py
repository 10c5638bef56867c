"""A row that somebody else locks delays nothing but itself."""

import json
from concurrent.futures import ThreadPoolExecutor

import psycopg

from tests.client import chat, stream
from tests.integration.conftest import ON_ONE_BROKER, NewOllama, NewStack
from tests.stack import Stack, wait_for

LEASES = 2


def whole_stream(url: str) -> list[bytes]:
    with stream(url, body=chat()) as opened:
        return opened.rest().splitlines()


def leases_later(stack: Stack, began: str) -> bool:
    """Whether so many leases have gone by on the database's clock."""
    lease_s = float(stack.env["FOREMAN_LEASE_S"])
    query = "SELECT clock_timestamp() > %s::timestamptz + %s * interval '1 s' AS is_later"
    return bool(stack.rows(query, began, LEASES * lease_s)[0]["is_later"])


@ON_ONE_BROKER
def test_a_row_that_is_locked_for_longer_than_a_lease_costs_no_stream(
    new_stack: NewStack, new_ollama: NewOllama
) -> None:
    ollama = new_ollama(tokens=240, tokens_per_s=20)
    stack = new_stack(ollama)
    with ThreadPoolExecutor(2) as clients:
        streams = [clients.submit(whole_stream, stack.url) for _ in range(2)]
        wait_for(lambda: sum(row["answering_at"] is not None for row in stack.jobs()) == 2)
        fence = stack.rows("SELECT fence FROM targets")
        with psycopg.connect(stack.database_url) as holder:
            (began,) = holder.execute(
                "SELECT now()::text FROM jobs WHERE id = %s FOR UPDATE", [stack.jobs()[0]["id"]]
            ).fetchone() or ("",)
            wait_for(lambda: leases_later(stack, began), 30)
        ends = [json.loads(each.result()[-1]) for each in streams]

    assert [end.get("done") for end in ends] == [True, True], ends
    assert stack.rows("SELECT fence FROM targets") == fence
    assert "lease lost" not in stack.processes["worker1"].log_text()
    wait_for(lambda: {row["state"] for row in stack.jobs()} == {"succeeded"})
    assert [row["fence"] for row in stack.jobs()] == [1, 1]
