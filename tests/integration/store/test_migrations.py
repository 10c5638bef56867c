"""Migrations: up, down, up again, from several places at once, and true to the models."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

from foreman.parsing import database_url as as_settings_read_it
from foreman.store.models import Base
from tests.servers import PostgresServer
from tests.stack import ROOT

OBJECTS = {
    "columns": "SELECT table_name, column_name, data_type, is_nullable, column_default,"
    " is_identity FROM information_schema.columns WHERE table_schema = 'public'",
    "indexes": "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
    "constraints": "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid)"
    " FROM pg_constraint WHERE connamespace = 'public'::regnamespace",
}


@pytest.fixture
def empty_url(postgres: PostgresServer) -> str:
    return postgres.create_database()


def python(url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=os.environ | {"DATABASE_URL": url},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def migrate(url: str) -> subprocess.CompletedProcess[str]:
    """What the release process does."""
    return python(url, "-m", "foreman", "migrate")


def alembic(url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return python(url, "-m", "alembic", "-c", "migrations/alembic.ini", *arguments)


def rows(url: str, query: str) -> set[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        return set(connection.execute(query).fetchall())


def shape(url: str) -> dict[str, set[tuple[object, ...]]]:
    """All that the database says of its tables, but for Alembic's own."""
    return {
        kind: {row for row in rows(url, query) if row[0] != "alembic_version"}
        for kind, query in OBJECTS.items()
    }


def test_a_database_is_made_from_nothing_unmade_and_made_again(empty_url: str) -> None:
    assert migrate(empty_url).returncode == 0
    made = shape(empty_url)

    assert alembic(empty_url, "downgrade", "base").returncode == 0
    unmade = shape(empty_url)
    assert migrate(empty_url).returncode == 0

    assert unmade == {kind: set() for kind in OBJECTS}
    assert shape(empty_url) == made
    assert made["columns"]


def test_to_migrate_a_migrated_database_changes_nothing(database_url: str) -> None:
    before = shape(database_url)

    done = migrate(database_url)

    assert done.returncode == 0
    assert shape(database_url) == before


def test_the_models_and_the_migrations_agree(database_url: str) -> None:
    engine = create_engine(as_settings_read_it(database_url))
    options = {"compare_type": True, "compare_server_default": True}

    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts=options)
        differences = compare_metadata(context, Base.metadata)
    engine.dispose()

    assert differences == []


def test_the_models_make_the_very_tables_that_the_migrations_make(
    database_url: str, empty_url: str
) -> None:
    engine = create_engine(as_settings_read_it(empty_url))
    Base.metadata.create_all(engine)
    engine.dispose()

    assert shape(empty_url) == shape(database_url)


def test_the_queues_of_jobs_that_are_gone_are_known_by_their_residencies(empty_url: str) -> None:
    assert alembic(empty_url, "upgrade", "0004").returncode == 0
    with psycopg.connect(empty_url, autocommit=True) as connection:
        for target in ("gpu1", "gpu2"):
            connection.execute(
                "INSERT INTO residency_costs (target, queue, model) VALUES (%s, 'model.m', 'm')",
                [target],
            )

    assert migrate(empty_url).returncode == 0

    noted = rows(empty_url, "SELECT queue, job_class, pinned_target FROM old_queues")
    assert noted == {("model.m", "interactive", "")}


def test_several_release_processes_may_migrate_at_once(empty_url: str) -> None:
    with ThreadPoolExecutor(2) as threads:
        done = list(threads.map(migrate, [empty_url, empty_url]))

    assert [each.returncode for each in done] == [0, 0], [each.stderr for each in done]
    assert len(rows(empty_url, "SELECT version_num FROM alembic_version")) == 1


def test_a_wrong_database_url_stops_the_migration_with_its_name() -> None:
    done = migrate("mysql://db/foreman")

    assert done.returncode == 1
    assert "DATABASE_URL" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_targets_had_loaded_is_among_their_residents_after_the_upgrade(empty_url: str) -> None:
    assert alembic(empty_url, "upgrade", "0004").returncode == 0
    with psycopg.connect(empty_url) as connection:
        connection.execute(
            "INSERT INTO targets (name, url, slots, resident_queue, loading_queue) VALUES"
            " ('idle', 'http://a', 1, 'model.a', NULL), ('empty', 'http://b', 1, NULL, NULL),"
            " ('loading', 'http://c', 1, 'model.a', 'model.b'),"
            " ('again', 'http://d', 1, 'model.a', 'model.a')"
        )
        connection.execute(
            "INSERT INTO residency_costs (target, queue, model)"
            " SELECT name, 'model.a', 'a:latest' FROM targets"
        )

    assert migrate(empty_url).returncode == 0

    assert rows(empty_url, "SELECT target, queue, model, is_loading FROM residents") == {
        ("idle", "model.a", "a:latest", False),
        ("loading", "model.a", "a:latest", False),
        ("loading", "model.b", None, True),
        ("again", "model.a", "a:latest", True),
    }
