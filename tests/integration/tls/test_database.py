"""TLS to PostgreSQL: asked for wherever the server is not on this machine."""

import subprocess
import sys

import pytest

from foreman.parsing import database_url as as_settings_read_it
from foreman.store.db import Database, connect_problem, tls_options
from tests.fakes.tls import Authority, TlsProxy
from tests.integration.tls.conftest import database_at
from tests.stack import ROOT


@pytest.mark.parametrize(
    "url",
    [
        "postgres://u:p@db/name",
        "postgres://u:p@10.0.0.1:5432/name",
        "postgres://u:p@192.168.1.2/name",
        "postgres://u:p@db.internal/name?application_name=x",
        "postgres://u@/name?host=db",
        "postgres://u@/name?host=/run,db",
        "postgres://u@/name?host=localhost&host=db",
        "postgres://u:p@localhost.example/name",
        "postgres://u:p@127.0.0.1.example/name",
        "postgres://u:p@[2001:db8::1]/name",
    ],
)
def test_a_server_on_another_machine_must_speak_tls(url: str) -> None:
    assert tls_options(as_settings_read_it(url)) == {"sslmode": "require"}


@pytest.mark.parametrize(
    "url",
    [
        "postgres://u@/name",
        "postgres:///name",
        "postgres://u@/name?host=/run/postgresql",
        "postgres://u@/name?host=%2Frun%2Fpostgresql",
        "postgres://u:p@localhost/name",
        "postgres://u:p@127.0.0.1/name",
        "postgres://u:p@127.1.2.3/name",
        "postgres://u:p@[::1]/name",
    ],
)
def test_a_server_on_this_machine_may_do_without(url: str) -> None:
    assert tls_options(as_settings_read_it(url)) == {}


@pytest.mark.parametrize("mode", ["disable", "prefer", "require", "verify-ca", "verify-full"])
def test_the_url_decides(mode: str) -> None:
    assert tls_options(as_settings_read_it(f"postgres://u:p@db/name?sslmode={mode}")) == {}


def test_libpqs_own_variables_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOST", "db")
    assert tls_options("postgresql+psycopg://u@/name") == {"sslmode": "require"}

    monkeypatch.setenv("PGSSLMODE", "verify-full")
    assert tls_options("postgresql+psycopg://u@/name") == {}


def test_queries_run_over_tls_without_a_word_in_the_url(
    database_proxy: TlsProxy, database_url: str
) -> None:
    url = as_settings_read_it(database_at(database_proxy.port, database_url))
    database = Database(url, pool_size=1)

    database.check()

    database.close()
    assert database_proxy.handshakes == 1
    assert connect_problem(url) is None


def test_a_server_without_tls_is_refused_by_the_name_of_its_variable(
    plain_port: int, database_url: str
) -> None:
    problem = connect_problem(as_settings_read_it(database_at(plain_port, database_url)))

    assert problem is not None
    assert problem.startswith("DATABASE_URL: ")
    assert "server does not support SSL" in problem
    assert "?sslmode=disable" in problem


def test_a_server_without_tls_is_used_when_the_url_says_so(
    plain_port: int, database_url: str
) -> None:
    url = database_at(plain_port, database_url, "sslmode=disable")

    assert connect_problem(as_settings_read_it(url)) is None


def test_verify_full_with_the_right_ca_connects(
    database_proxy: TlsProxy, database_url: str, authority: Authority
) -> None:
    verified = ["sslmode=verify-full", f"sslrootcert={authority.file}"]
    url = database_at(database_proxy.port, database_url, *verified)

    assert connect_problem(as_settings_read_it(url)) is None


def test_another_ca_is_refused(
    database_proxy: TlsProxy, database_url: str, stranger: Authority
) -> None:
    verified = ["sslmode=verify-full", f"sslrootcert={stranger.file}"]
    url = database_at(database_proxy.port, database_url, *verified)

    problem = connect_problem(as_settings_read_it(url))

    assert problem is not None
    assert problem.startswith("DATABASE_URL: ")
    assert "certificate verify failed" in problem


def test_a_certificate_of_another_host_is_refused(
    database_proxy: TlsProxy, database_url: str, authority: Authority
) -> None:
    verified = ["sslmode=verify-full", f"sslrootcert={authority.file}"]
    url = database_at(database_proxy.port, database_url, *verified, host="other.example")

    problem = connect_problem(as_settings_read_it(url))

    assert problem is not None
    assert problem.startswith("DATABASE_URL: ")
    assert "other.example" in problem


def test_a_migration_says_why_it_cannot_connect(plain_port: int, database_url: str) -> None:
    url = database_at(plain_port, database_url).replace("foreman@", "foreman:hunter2@")

    done = subprocess.run(
        [sys.executable, "-m", "foreman", "migrate"],
        cwd=ROOT, env={"DATABASE_URL": url}, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip

    assert done.returncode == 1
    assert done.stderr.startswith("foreman: DATABASE_URL: ")
    assert "server does not support SSL" in done.stderr
    assert "hunter2" not in done.stdout + done.stderr
