"""A process that starts before the migration, or after a newer one, says so in one sentence."""

import os
import subprocess
import sys

import psycopg
import pytest

from foreman.embedded.probe import free_port
from foreman.procfile import read
from foreman.store.revision import REVISION, found_revision
from foreman.tree import PROCFILE
from tests.servers import PostgresServer
from tests.stack import ROOT

FIRST = "the database has no tables of foreman: run `foreman migrate` first"


def run(url: str, *command: str) -> subprocess.CompletedProcess[str]:
    settings = {
        "DATABASE_URL": url,
        "FOREMAN_BROKER_URL": "redis://127.0.0.1:9/1",
        "PORT": str(free_port()),
    }
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=ROOT, env=os.environ | settings, capture_output=True, text=True, timeout=100,
        check=False,
    )  # fmt: skip


def set_revision(url: str, revision: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE alembic_version SET version_num = %s", [revision])


@pytest.mark.parametrize("name", ["web", "worker", "relay"])
def test_a_process_before_the_migration_ends_and_says_to_migrate_first(
    name: str, postgres: PostgresServer
) -> None:
    program, *options = read(PROCFILE)[name]
    command = options[1:] if program == "python" else [program, *options]

    done = run(postgres.create_database(), *command)

    assert done.returncode != 0
    assert FIRST in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_the_newest_migration_is_the_one_that_processes_ask_for(database_url: str) -> None:
    assert found_revision(database_url) == REVISION


def test_tables_of_an_older_version_must_be_migrated(database_url: str) -> None:
    set_revision(database_url, "0001")

    done = run(database_url, "foreman", "relay")

    assert done.stderr == (
        f"foreman: the database is at revision 0001, not {REVISION}: run `foreman migrate` first\n"
    )


def test_code_older_than_the_database_says_so_in_one_sentence(database_url: str) -> None:
    set_revision(database_url, "9999")

    done = run(database_url, "foreman", "migrate")

    assert done.returncode == 1
    assert done.stderr.startswith("foreman: a newer version of foreman has migrated this database")
    assert "9999" in done.stderr
    assert done.stderr.count("\n") == 1
