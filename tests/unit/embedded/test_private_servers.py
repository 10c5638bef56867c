"""The private PostgreSQL and Valkey: what they listen on, and the URLs that lead to them."""

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import kombu
import psycopg
import pytest
import sqlalchemy

from foreman import parsing
from foreman.embedded import valkey
from foreman.embedded.launch import environment, flower_port
from foreman.embedded.places import Places, open_places
from foreman.embedded.postgres import Postgres, private_postgres
from foreman.embedded.processes import Process, stop
from foreman.embedded.valkey import Valkey, private_valkey
from foreman.embedded.waiting import StartFailed, wait_until
from foreman.errors import SettingsError


@pytest.fixture(scope="module")
def places() -> Iterator[Places]:
    # Not below pytest's own directory: that one is closed to the servers' user when we are root.
    data = Path(tempfile.mkdtemp(prefix="foreman-unit-"))
    yield open_places(data)
    shutil.rmtree(data)


@pytest.fixture(scope="module")
def a_postgres(places: Places) -> Iterator[Postgres]:
    server = private_postgres(places, dict(os.environ))
    server.initialise("--no-sync")
    process = Process(server.command({"fsync": "off"}))
    assert wait_until(server.is_ready, timeout_s=30)
    yield server
    stop([process], grace_s=10)
    assert process.exit_code == 0


@pytest.fixture(scope="module")
def a_valkey(places: Places) -> Iterator[Valkey]:
    server = private_valkey(places, dict(os.environ))
    process = Process(server.command())
    assert wait_until(server.is_ready, timeout_s=30)
    yield server
    stop([process], grace_s=10)
    assert process.exit_code == 0


def test_the_database_url_goes_through_our_settings_and_sqlalchemy(a_postgres: Postgres) -> None:
    a_postgres.create_database()
    a_postgres.create_database()  # again: it is there
    engine = sqlalchemy.create_engine(parsing.database_url(a_postgres.url()))
    with engine.connect() as connection:
        row = connection.execute(sqlalchemy.text("SELECT current_database(), current_user"))
        assert tuple(row.one()) == ("foreman", "foreman")
    engine.dispose()
    with psycopg.connect(a_postgres.url()) as direct:
        assert direct.info.dbname == "foreman"


def test_a_database_can_be_copied_from_a_template(a_postgres: Postgres) -> None:
    a_postgres.create_database("original")
    with a_postgres.connect("original") as connection:
        connection.execute("CREATE TABLE kept (id int)")
    a_postgres.create_database("copy", template="original")
    with a_postgres.connect("copy") as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)


def test_postgres_listens_on_no_port_and_its_socket_is_private(a_postgres: Postgres) -> None:
    with a_postgres.connect("postgres") as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("",)
        assert connection.execute("SHOW unix_socket_permissions").fetchone() == ("0700",)
        assert connection.execute("SHOW fsync").fetchone() == ("off",)


def test_a_cluster_of_another_version_is_refused_in_words(places: Places) -> None:
    old = Postgres(Places(places.data / "old", places.sockets, None), Path("/none"), {})
    old.places.data.mkdir()
    old.cluster.mkdir(parents=True)
    (old.cluster / "PG_VERSION").write_text("17\n")
    with pytest.raises(StartFailed, match=r"made by PostgreSQL 17, and this is 18.*--fresh"):
        old.initialise()


def test_the_broker_url_reaches_valkey_through_kombu(a_valkey: Valkey) -> None:
    url = parsing.broker_url(a_valkey.url())
    for database in ("", "?virtual_host=1"):
        with kombu.Connection(url + database) as connection:
            queue = connection.SimpleQueue("unit")
            queue.put({"from": database})
            assert queue.get(timeout=5).payload == {"from": database}
            queue.close()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("appendonly", "yes"),
        ("appendfsync", "everysec"),
        ("save", ""),
        ("maxmemory-policy", "noeviction"),
        ("port", "0"),
    ],
)
def test_valkey_keeps_every_message_and_listens_on_no_port(
    a_valkey: Valkey, name: str, value: str
) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(a_valkey.socket))
        connection.sendall(f"CONFIG GET {name}\r\n".encode())
        assert connection.recv(4096).decode().split("\r\n")[4] == value


def test_nobody_is_a_ready_server_where_none_runs(tmp_path: Path) -> None:
    here = Places(tmp_path, tmp_path, None)
    assert not Valkey(here, Path("/none"), {}).is_ready()
    assert not Postgres(here, Path("/none"), {}).is_ready()


def test_a_machines_redis_is_taken_only_when_it_is_new_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "redis-server"
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    for version, expected in (("7.0.15", (7, 0)), ("6.0.16", (6, 0))):
        program.write_text(f"#!/bin/sh\necho 'Redis server v={version} sha=0:0 malloc=libc'\n")
        program.chmod(0o755)
        assert valkey.version_of(str(program)) == expected
    assert valkey.version_of("/bin/true") == ()
    assert valkey.OLDEST == (6, 2)


def test_a_child_gets_our_programs_first_and_the_mark_of_its_data_directory() -> None:
    env = environment({"PATH": "/usr/bin", "PORT": "1"}, Places(Path("/d"), Path("/d/run"), None))
    assert env["FOREMAN_EMBEDDED"] == "/d"
    assert env["PATH"].endswith(":/usr/bin")
    assert env["PORT"] == "1"


def test_the_database_url_names_the_socket_directory_and_the_port() -> None:
    url = Postgres(Places(Path("/d"), Path("/d/run"), None), Path("/none"), {}).url()
    assert url == "postgresql://foreman@/foreman?host=/d/run&port=5432"


def test_flowers_port_is_the_chosen_one_or_its_default() -> None:
    assert flower_port({}) == 5555
    assert flower_port({"FLOWER_PORT": "6666"}) == 6666
    with pytest.raises(SettingsError, match="FLOWER_PORT is wrong"):
        flower_port({"FLOWER_PORT": "x"})
