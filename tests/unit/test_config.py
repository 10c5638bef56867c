"""Settings: each variable's default, what it accepts, and an error that names it."""

import subprocess
import sys
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from foreman.config import Settings, from_env, variables
from foreman.core.receivers import Opening
from foreman.errors import SettingsError
from foreman.parsing import (
    TargetSpec,
    count,
    days,
    number_or_auto,
    port,
    seconds,
    seconds_or_off,
)
from tests.factories import environ
from tests.stack import ROOT

MIB = 1024 * 1024
SECRET = "whsec_" + "c2VjcmV0" * 4
KEY = "a" * 43 + "="

# variable, field, default, a good value, what is made of it, bad values
VARIABLES: list[tuple[str, str, Any, str, Any, list[str]]] = [
    ("FOREMAN_HOST", "host", "127.0.0.1", "[::]", "::", []),
    ("PORT", "port", 11435, "80", 80, ["0", "65536", "-1", "http", "1.5"]),
    ("WEB_CONCURRENCY", "web_processes", 1, "4", 4, ["0", "-1", "many", "1.5"]),
    ("FOREMAN_HOSTS", "hosts", (), "gpu.lan, *.example.org", ("gpu.lan", "*.example.org"), []),
    ("FOREMAN_TRUSTED_PROXIES", "trusted_proxies", (), "10.0.0.0/8, ::1",
     (ip_network("10.0.0.0/8"), ip_network("::1")), ["10.0.0.1/8", "proxy", "10/8/8"]),
    ("FOREMAN_HEAD_TIMEOUT", "head_timeout_s", 10.0, "2.5", 2.5, ["0", "-1", "soon"]),
    (
        "FOREMAN_MAX_CONNECTIONS_PER_ADDRESS",
        "max_connections_per_address",
        1000,
        "9",
        9,
        ["0", "x"],
    ),
    ("FOREMAN_BODY_BUDGET", "body_budget_bytes", 128 * MIB, "1GiB", 1024 * MIB, ["0", "-1"]),
    ("FOREMAN_MAX_BODY", "max_body_bytes", 32 * MIB, "1GiB", 1024 * MIB, ["0", "big", "-1"]),
    ("FOREMAN_ALLOW_ADMIN", "allow_admin", False, "1", True, ["yes", "true", "2"]),
    ("FOREMAN_ORIGINS", "origins", (), "https://a, http://*.b", ("https://a", "http://*.b"), []),
    ("FOREMAN_KEEPALIVE", "keepalive", "streaming", "always", "always", ["on", "Always"]),
    ("FOREMAN_KEEPALIVE_AFTER", "keepalive_after_s", 20.0, "2.5", 2.5, ["0", "-1", "soon"]),
    ("FOREMAN_KEEPALIVE_EVERY", "keepalive_every_s", 15.0, "1", 1.0, ["0", "nan", "inf", "1s"]),
    ("FOREMAN_STREAM_BUFFER", "stream_buffer_bytes", 2 * MIB, "64k", 65536, ["0", "8MB", "x"]),
    ("FOREMAN_SYNC_WAIT", "sync_wait_s", 1800.0, "60", 60.0, ["0", "-5", "inf"]),
    ("FOREMAN_JOB_TIMEOUT", "job_timeout_s", 1800.0, "60", 60.0, ["0", "nan", "never"]),
    ("FOREMAN_MAX_WAIT_INTERACTIVE", "max_wait_interactive_s", 30.0, "5", 5.0, ["0", "soon"]),
    ("FOREMAN_MAX_WAIT_BATCH", "max_wait_batch_s", 600.0, "60", 60.0, ["0", "-1"]),
    ("FOREMAN_MIN_VISIT_SWAPS", "min_visit_swaps", None, "2.5", 2.5, ["-1", "nan", "off", "inf"]),
    ("FOREMAN_LINGER", "linger_s", None, "off", 0.0, ["-1", "nan", "on", "inf"]),
    ("FOREMAN_FIRST_BYTE", "first_byte_s", 300.0, "60", 60.0, ["0", "x"]),
    ("FOREMAN_ABSENCE_GRACE", "absence_grace_s", 30.0, "60", 60.0, ["0", "-1", "off"]),
    ("FOREMAN_TARGET_SILENCE", "target_silence_s", 330.0, "60", 60.0, ["0", "-inf"]),
    ("FOREMAN_BYPASS_CONCURRENCY", "bypass_concurrency", 4, "9", 9, ["0", "x"]),
    ("FOREMAN_NUM_CTX", "num_ctx", None, "max:8192", 8192,
     ["8192", "max", "max:", "max:0", "max:-1", "max:8k", "max: 8", "MAX:8", "as_sent", "min:1"]),
    ("FOREMAN_KEEP_LOADED", "keep_loaded", False, "1", True, ["yes", "2"]),
    ("FOREMAN_KEEP_EMBEDDINGS", "keep_embeddings_s", 1800.0, "60", 60.0, ["0", "-1", "long"]),
    ("FOREMAN_PINNED", "pinned", (), "Qwen3, library/qwen3:latest,a/b:c", ("qwen3:latest", "a/b:c"),
        ["a b", "a,b:", "x:cloud", "../x"]),
    ("FOREMAN_MAX_QUEUE", "max_queue", 20000, "9", 9, ["0", "many"]),
    ("FOREMAN_MAX_QUEUE_TOTAL", "max_queue_total", 100000, "9", 9, ["0", "-1"]),
    ("FOREMAN_MAX_RESIDENCIES", "max_residencies", 8, "2", 2, ["0", "all"]),
    ("FOREMAN_MAX_RESIDENCIES_TOTAL", "max_residencies_total", 200, "9", 9, ["0", "-1"]),
    ("FOREMAN_MAX_ATTEMPTS", "max_attempts", 3, "1", 1, ["0", "three"]),
    ("FOREMAN_ARTIFACT_MAX", "artifact_max_bytes", 64 * MIB, "1k", 1024, ["0", "64MB"]),
    ("FOREMAN_RETENTION_DAYS", "retention_days", 30.0, "0.5", 0.5, ["-1", "nan", "inf", "never"]),
    ("FOREMAN_SYNC_PAYLOAD_DAYS", "sync_payload_days", 1.0, "off", None, ["-1", "on", "1d"]),
    ("FOREMAN_RETENTION_EVERY", "retention_every_s", 600.0, "5", 5.0, ["0", "off"]),
    ("FOREMAN_LEASE_S", "lease_s", 15.0, "0.5", 0.5, ["0", "-1"]),
    ("FOREMAN_SHUTDOWN_S", "shutdown_s", 20.0, "5", 5.0, ["0", "x"]),
    ("FOREMAN_CLIENT_TIMEOUT", "client_timeout_s", 60.0, "5", 5.0, ["0", "x"]),
    ("FOREMAN_WEBHOOK_URL", "webhook_url", None, "https://a.b/c", "https://a.b/c", ["a.b", "ftp://a"]),
    ("FOREMAN_WEBHOOK_SECRET", "webhook_secrets", (), f"{SECRET}, {SECRET}", (SECRET, SECRET),
     ["secret", "whsec_c2hvcnQ=", f"{SECRET},{SECRET},{SECRET}"]),
    ("FOREMAN_WEBHOOK_ALLOW", "webhook_allow", (), "10.0.0.0/8,::1/128",
     (Opening(ip_network("10.0.0.0/8")), Opening(ip_network("::1/128"))),
     ["10.0.0.1/8", "localhost", "10/8/8", "127.0.0.1:0", "localhost:80", "[::1]9000"]),
    ("FOREMAN_WEBHOOK_PORTS", "webhook_ports",
     (range(80, 81), range(443, 444), range(1024, 65536)), "443,8000-8001",
     (range(443, 444), range(8000, 8002)), ["0", "9-8", "http", "1-65536"]),
    ("FOREMAN_WEBHOOK_CONCURRENCY", "webhook_concurrency", 4, "1", 1, ["0", "many"]),
    ("FOREMAN_SECRET_KEY", "secret_keys", (), f"{KEY},{KEY}", (KEY, KEY), ["secret", KEY[:-4]]),
    ("FOREMAN_LOG_LEVEL", "log_level", "INFO", "DEBUG", "DEBUG", ["debug", "LOUD", "7"]),
]  # fmt: skip

# Variables with rules of their own, below.
OTHERS = {
    "DATABASE_URL", "FOREMAN_BROKER_URL", "CLOUDAMQP_URL", "REDIS_URL", "FOREMAN_TARGETS",
    "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE",
}  # fmt: skip

bad_values = [(row[0], value) for row in VARIABLES for value in row[5]]


def read(**changes: str) -> Settings:
    return from_env(environ(**changes))


def test_every_variable_is_tested_here() -> None:
    known = {name for names, _, _ in variables() for name in names}

    assert known == {row[0] for row in VARIABLES} | OTHERS


@pytest.mark.parametrize("row", VARIABLES, ids=lambda row: row[0])
def test_a_variable_that_is_unset_or_empty_has_its_default(
    row: tuple[str, str, Any, str, Any, list[str]],
) -> None:
    variable, field, default, *_ = row

    assert getattr(read(), field) == default
    assert getattr(read(**{variable: ""}), field) == default


@pytest.mark.parametrize("row", VARIABLES, ids=lambda row: row[0])
def test_a_variable_is_read(row: tuple[str, str, Any, str, Any, list[str]]) -> None:
    variable, field, _, good, meant, _ = row

    assert getattr(read(**{variable: good}), field) == meant


@pytest.mark.parametrize(("variable", "value"), bad_values)
def test_a_bad_value_stops_the_start_and_names_the_variable(variable: str, value: str) -> None:
    with pytest.raises(SettingsError, match=rf"^{variable} is wrong: "):
        read(**{variable: value})


@pytest.mark.parametrize(
    ("variable", "named"),
    [
        ("DATABASE_URL", "DATABASE_URL"),
        ("FOREMAN_BROKER_URL", "FOREMAN_BROKER_URL or CLOUDAMQP_URL or REDIS_URL"),
    ],
)
def test_a_required_variable_that_is_missing_is_named(variable: str, named: str) -> None:
    with pytest.raises(SettingsError, match=f"^{named} is not set"):
        read(**{variable: ""})


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_the_database_is_named_as_heroku_names_it_or_as_sqlalchemy_does(scheme: str) -> None:
    settings = read(DATABASE_URL=f"{scheme}://u:p%40@db:5432/name?sslmode=require")

    assert settings.database_url == "postgresql+psycopg://u:p%40@db:5432/name?sslmode=require"


@pytest.mark.parametrize(
    "url", ["mysql://db/x", "sqlite:///x", "db:5432", "postgres:/x", "postgresql+asyncpg://db/x"]
)
def test_another_database_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match=r"^DATABASE_URL is wrong"):
        read(DATABASE_URL=url)


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ({"REDIS_URL": "redis://c"}, "redis://c"),
        ({"REDIS_URL": "redis://c", "CLOUDAMQP_URL": "amqps://b"}, "amqps://b"),
        ({"FOREMAN_BROKER_URL": "amqp://a", "CLOUDAMQP_URL": "amqps://b"}, "amqp://a"),
        ({"FOREMAN_BROKER_URL": "redis+socket:///a", "REDIS_URL": "redis://c"}, "redis+socket:///a"),
        ({"FOREMAN_BROKER_URL": "", "REDIS_URL": "rediss://c"}, "rediss://c"),
    ],
)  # fmt: skip
def test_the_first_broker_that_is_named_is_used(given: dict[str, str], used: str) -> None:
    settings = read(**{"FOREMAN_BROKER_URL": ""} | given)

    assert settings.broker_url == used
    assert settings.is_redis is used.startswith("redis")


@pytest.mark.parametrize("variable", ["FOREMAN_BROKER_URL", "CLOUDAMQP_URL", "REDIS_URL"])
@pytest.mark.parametrize("url", ["http://broker", "sqs://x", "broker:6379", "memory://"])
def test_another_broker_is_refused_by_the_variable_that_named_it(variable: str, url: str) -> None:
    with pytest.raises(SettingsError, match=f"^{variable} is wrong"):
        read(**{"FOREMAN_BROKER_URL": "", variable: url})


@pytest.mark.parametrize(
    ("given", "host"),
    [
        ({}, "127.0.0.1"),
        ({"DYNO": "web.1"}, "0.0.0.0"),
        ({"DYNO": "web.1", "FOREMAN_HOST": "127.0.0.1"}, "127.0.0.1"),
    ],
)
def test_a_heroku_dyno_is_reached_from_outside(given: dict[str, str], host: str) -> None:
    assert read(**given).host == host


def test_there_is_one_target_by_default() -> None:
    (target,) = read().targets

    assert target == TargetSpec(name="ollama", url="http://127.0.0.1:11434", slots=1)


@pytest.mark.parametrize(
    ("parse", "text", "said"),
    [
        (seconds, "abc", "must be a number of seconds above 0"),
        (count, "1.5", "must be a whole number above 0"),
        (days, "x", "must be a number of days, at most 36500, or off"),
        (port, "http", "must be a port, 1 to 65535"),
        (number_or_auto, "off", "must be auto or a number that is not below 0"),
        (seconds_or_off, "on", "must be auto, off or a number of seconds"),
    ],
)
def test_a_value_of_another_kind_is_refused_in_our_own_words(
    parse: Callable[[str], object], text: str, said: str
) -> None:
    with pytest.raises(ValueError, match=f"^{said}$"):
        parse(text)


def test_targets_have_names_urls_and_slots() -> None:
    settings = read(
        FOREMAN_TARGETS="a=http://gpu1:11434?slots=4, b.2=https://gpu2/ ,c_3=http://[::1]:9,"
    )

    assert settings.targets == (
        TargetSpec(name="a", url="http://gpu1:11434", slots=4),
        TargetSpec(name="b.2", url="https://gpu2", slots=1),
        TargetSpec(name="c_3", url="http://[::1]:9", slots=1),
    )


def test_a_target_may_be_behind_a_proxy_with_a_path_and_credentials() -> None:
    settings = read(FOREMAN_TARGETS="a=https://me:a%2Fb%3Ac%C3%A9@gpu:8443/x/ollama/?slots=2")

    (target,) = settings.targets
    assert (target.url, target.slots) == ("https://gpu:8443/x/ollama", 2)
    assert target.authorization == "Basic bWU6YS9iOmPDqQ=="
    assert "bWU6" not in repr(settings)


def test_the_file_of_cas_is_that_of_requests_or_of_openssl(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.touch()

    assert read().ca_file is None
    assert read(SSL_CERT_FILE=str(file)).ca_file == str(file)
    assert read(SSL_CERT_FILE="/x", REQUESTS_CA_BUNDLE=str(file)).ca_file == str(file)
    with pytest.raises(SettingsError, match=r"^REQUESTS_CA_BUNDLE is wrong: there is no file"):
        read(REQUESTS_CA_BUNDLE=f"{file}.missing")


@pytest.mark.parametrize(
    ("options", "residents", "memory_bytes"),
    [
        ("", None, None),
        ("?residents=1", 1, None),
        ("?memory=48GiB&slots=2", None, 48 * 1024 * MIB),
        ("?slots=4&residents=3&memory=24GB", 3, 24_000_000_000),
        ("?memory=1TiB", None, 1024 * 1024 * MIB),
        ("?memory=512MB", None, 512_000_000),
    ],
)
def test_a_target_may_say_what_it_has_room_for(
    options: str, residents: int | None, memory_bytes: int | None
) -> None:
    (target,) = read(FOREMAN_TARGETS=f"gpu=http://gpu:11434{options}").targets

    assert (target.residents, target.memory_bytes) == (residents, memory_bytes)


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("residents=0", "target gpu: residents: must be a whole number above 0"),
        ("memory=48", "target gpu: memory: must be a size such as 48GiB or 24GB"),
        ("memory=2PiB", "target gpu: memory: must be a size such as 48GiB or 24GB"),
        ("room=1", "target gpu: the options are slots, residents, memory, not room"),
    ],
)
def test_a_room_that_cannot_be_meant_is_named(option: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        read(FOREMAN_TARGETS=f"gpu=http://gpu:11434?{option}")


def test_auto_leaves_lingering_and_the_shortest_visit_to_foreman() -> None:
    settings = read(FOREMAN_LINGER="auto", FOREMAN_MIN_VISIT_SWAPS="auto")

    assert (settings.linger_s, settings.min_visit_swaps) == (None, None)
    assert read(FOREMAN_LINGER="2.5").linger_s == 2.5


def test_a_variable_that_was_replaced_stops_the_start_and_names_its_successor() -> None:
    with pytest.raises(SettingsError, match=r"^FOREMAN_SWAP_KAPPA .* FOREMAN_MIN_VISIT_SWAPS"):
        read(FOREMAN_SWAP_KAPPA="10")


@pytest.mark.parametrize(
    "targets",
    [
        ",", "http://gpu:11434", "=http://gpu:11434", "a b=http://gpu", "a/b=http://gpu",
        "a=gpu:11434", "a=ftp://gpu", "a=http://", "a=http://:11434", "a=http://gpu/a b",
        "a=http://gpu:port", "a=http://gpu:70000", "a=http://gpu?slots=0", "a=http://gpu?slots=x",
        "a=http://gpu?slots=", "a=http://gpu?places=4", "a=http://gpu?slots=4&x=1", "a=http://[::1",
        "a=http://user:pass/word@gpu", "a=http://user:12/x@gpu", "a=http://gpu/p#f@x",
        "a=http://one,a=http://two", "a=http://one,b", "n" * 65 + "=http://gpu",
    ],
)  # fmt: skip
def test_targets_that_cannot_be_meant_are_refused(targets: str) -> None:
    with pytest.raises(SettingsError, match=r"^FOREMAN_TARGETS is wrong"):
        read(FOREMAN_TARGETS=targets)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1", 1), ("8388608", 8 * MIB), ("8MiB", 8 * MIB), ("8mib", 8 * MIB), ("8 MiB", 8 * MIB),
        ("8m", 8 * MIB), ("64KiB", 65536), ("64K", 65536), ("2g", 2048 * MIB), ("2GiB", 2048 * MIB),
    ],
)  # fmt: skip
def test_sizes_are_bytes_or_have_a_unit(text: str, size: int) -> None:
    assert read(FOREMAN_MAX_BODY=text).max_body_bytes == size


@pytest.mark.parametrize(
    "text", ["0", "0MiB", "-1", "1.5MiB", "MiB", "8 M i B", "8TiB", "1e6", "8MiB!"]
)
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match=r"^FOREMAN_MAX_BODY is wrong"):
        read(FOREMAN_MAX_BODY=text)


@pytest.mark.parametrize("variable", ["DATABASE_URL", "FOREMAN_BROKER_URL", "FOREMAN_TARGETS"])
@pytest.mark.parametrize("value", ["wrong://user:hunter2@host:1/x", "a=wrong://user:hunter2@host"])
def test_an_error_tells_no_password(variable: str, value: str) -> None:
    with pytest.raises(SettingsError) as refused:
        read(**{variable: value})

    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("DATABASE_URL", "postgres://u:hunter2@hunter2@db/x"),
        ("DATABASE_URL", "postgres://u:secret@db:hunter2/x"),
        ("FOREMAN_BROKER_URL", "redis://:hunter2/x@b:1/0"),
        ("FOREMAN_BROKER_URL", "rediss://:hunter2#x@b:1/0"),
        ("FOREMAN_BROKER_URL", "amqp://u:hunter2@b:hunter2/"),
        ("FOREMAN_BROKER_URL", "amqp://u:hunter2@a;amqp://u:hunter2@b"),
        ("FOREMAN_TARGETS", "a=http://u:hunter2@gpu:x"),
        ("FOREMAN_TARGETS", "a=http://u:hunter2@gpu?x=1"),
        ("FOREMAN_TARGETS", "a=http://u:1?hunter2=x@gpu"),
        ("FOREMAN_TARGETS", "a=http://u:1,hunter2=x@gpu"),
        ("FOREMAN_TARGETS", "a=http://u:hunter2\u2100@gpu"),
        ("FOREMAN_BROKER_URL", "redis://u:hunter2\u2100@b:1/0"),
        ("FOREMAN_TARGETS", "a=http://u:hunter2/x@gpu"),
        ("FOREMAN_WEBHOOK_URL", "https://u:hunter2@a.example/"),
        ("FOREMAN_WEBHOOK_URL", "https://a.example:hunter2/"),
        ("FOREMAN_WEBHOOK_SECRET", "hunter2"),
        ("FOREMAN_SECRET_KEY", "hunter2"),
    ],
)
def test_an_error_tells_no_part_of_a_secret(variable: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"^{variable} is wrong") as refused:
        read(**{variable: value})

    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgres://u:p@db/x", "postgres://u:p%40@db:5432/x", "postgres://u:p/#?:x@db:5432/x",
        "postgres://u@/x?host=/run&port=5432", "postgres:///x", "postgres://db", "postgres://u@[::1]:1/x",
        "postgres://u:p[x@db/x", "postgres://a,b/x", "postgres://u@db:/x",
    ],
)  # fmt: skip
def test_every_form_of_a_database_that_sqlalchemy_reads_is_taken(url: str) -> None:
    assert read(DATABASE_URL=url).database_url == "postgresql+psycopg" + url.removeprefix(
        "postgres"
    )


@pytest.mark.parametrize("query", ["ssl_cert_reqs=none", "ssl_check_hostname=false"])
def test_the_broker_may_be_told_how_to_verify(query: str) -> None:
    assert read(FOREMAN_BROKER_URL=f"rediss://b?{query}").broker_url == f"rediss://b?{query}"


@pytest.mark.parametrize(
    "url", ["rediss://b?ssl_cert_reqs=x", "amqps://b?ssl_ca_certs=/none.pem", "redis://b?ssl_x=1"]
)
def test_what_cannot_be_meant_for_tls_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match=r"^FOREMAN_BROKER_URL is wrong: .*(ssl_|/none\.pem)"):
        read(FOREMAN_BROKER_URL=url)


def test_what_is_secret_has_no_repr() -> None:
    url = "https://a.example/hunter2"
    settings = read(
        DATABASE_URL="postgres://u:hunter2@db/x",
        FOREMAN_BROKER_URL="redis://:hunter2@b",
        FOREMAN_WEBHOOK_URL=url,
        FOREMAN_WEBHOOK_SECRET=SECRET,
        FOREMAN_SECRET_KEY=KEY,
    )

    for text in (repr(settings), str(settings), f"{settings}"):
        assert not [each for each in ("hunter2", SECRET, KEY) if each in text]


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        read().port = 1  # type: ignore[misc]  # that it cannot is the test


def test_a_silent_web_process_has_two_leases_before_its_clients_count_as_gone() -> None:
    assert read(FOREMAN_LEASE_S="7").web_silence_s == 14


def table() -> str:
    done = subprocess.run(
        [sys.executable, "-m", "foreman", "settings"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout


def test_the_table_names_every_variable_and_its_default() -> None:
    rows = table().splitlines()

    assert len(rows) == 2 + len(variables())
    for row, (names, default, meaning) in zip(rows[2:], variables(), strict=True):
        assert all(f"`{name}`" in row for name in names)
        assert ("required" if default is None else default) in row
        assert meaning in row


def test_the_page_of_settings_has_the_table_as_the_settings_print_it() -> None:
    assert table() in (ROOT / "docs" / "settings.md").read_text()
