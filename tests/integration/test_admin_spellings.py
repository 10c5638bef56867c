"""Admin routes while they are closed: no spelling of one gets through to a target."""

import socket
from collections.abc import Callable

from tests.fakes.scripted_target import Asked, Reply, ScriptedTarget
from tests.servers import PostgresServer
from tests.spellings import ADMIN_SPELLINGS
from tests.stack import WebAlone


def status_of(port: int, method: str, path: str) -> int:
    """The status for a request line that no client library has mended."""
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n"
        connection.sendall((head + "Connection: close\r\n\r\n").encode() + b"{}")
        return int(connection.makefile("rb").readline().split()[1])


def test_no_spelling_of_an_admin_route_reaches_a_target(
    postgres: PostgresServer, template_url: str, new_broker_url: Callable[[str], str]
) -> None:
    reached: list[str] = []

    def note(asked: Asked) -> Reply:
        reached.append(asked.path)
        return Reply()

    with (
        ScriptedTarget(note) as fake,
        WebAlone(
            database_url=postgres.create_database(template_url),
            broker_url=new_broker_url("redis"),
            targets=f"gpu={fake.url}",
            workers=0,
        ) as stack,
    ):
        spellings = {(method, path) for _, method, path in ADMIN_SPELLINGS}
        statuses = {status_of(stack.port, *each) for each in spellings}

    assert reached == []
    assert len(spellings) >= 343
    assert statuses <= {301, 307, 400, 403, 404, 405}
    assert {307, 403, 404} <= statuses
