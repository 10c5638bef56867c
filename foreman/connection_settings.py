"""The settings of connections: what foreman connects to, who connects to it, and how much of each.

The rest of the settings, and how they are read, is `config`.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import Any, TypeVar

from foreman.parsing import (
    TargetSpec,
    broker_url,
    ca_file,
    count,
    database_url,
    flag,
    host,
    networks,
    one_of,
    port,
    seconds,
    targets,
    words,
)
from foreman.sizes import size_bytes

T = TypeVar("T")


def setting(
    variables: str,
    parse: Callable[[str], T],
    default: str | None,
    meaning: str,
    *,
    is_secret: bool = False,
) -> T:
    """A field read from the first of `variables` that is set; without a default it is required.

    The repr of the settings leaves out what is secret.
    """
    metadata = {
        "variables": variables.split(),
        "parse": parse,
        "default": default,
        "meaning": meaning,
    }
    field: Any = dataclasses.field(metadata=metadata, repr=not is_secret)
    return field  # type: ignore[no-any-return]  # dataclasses.field lies about its type in the same way


@dataclass(frozen=True, kw_only=True)
class ConnectionSettings:
    """The first part of `Settings`, in the order in which the table of variables lists it."""

    database_url: str = setting(
        "DATABASE_URL", database_url, None, "PostgreSQL, the truth", is_secret=True
    )
    broker_url: str = setting(
        "FOREMAN_BROKER_URL CLOUDAMQP_URL REDIS_URL",
        broker_url,
        None,
        "RabbitMQ or Redis/Valkey",
        is_secret=True,
    )
    targets: tuple[TargetSpec, ...] = setting(
        "FOREMAN_TARGETS",
        targets,
        "ollama=http://127.0.0.1:11434",
        "the Ollama servers: `name=http://host:port?slots=4&residents=2&memory=48GiB,…`; slots is"
        " its OLLAMA_NUM_PARALLEL; residents (models at once) and memory are learned unless given;"
        " `https://user:password@host/path` for one behind a proxy",
    )
    ca_file: str | None = setting(
        "REQUESTS_CA_BUNDLE SSL_CERT_FILE",
        ca_file,
        "",
        "file of the CAs that the certificates of targets are checked with; unset: public ones",
    )
    absence_grace_s: float = setting(
        "FOREMAN_ABSENCE_GRACE",
        seconds,
        "30",
        "seconds that requests wait for a target that has gone away, before they get 503",
    )
    host: str = setting("FOREMAN_HOST", host, "127.0.0.1", "address the web process binds to")
    port: int = setting("PORT", port, "11435", "port the web process binds to")
    web_processes: int = setting("WEB_CONCURRENCY", count, "1", "gunicorn workers")
    hosts: tuple[str, ...] = setting(
        "FOREMAN_HOSTS",
        words,
        "",
        "Host names that requests may use, with * as wildcard; unset: on loopback this machine's"
        " own names, on any other address every name",
    )
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = setting(
        "FOREMAN_TRUSTED_PROXIES",
        networks,
        "",
        "networks of the proxies in front of foreman, whose X-Forwarded-For names the client's"
        " address: `10.0.0.0/8,127.0.0.1`",
    )
    head_timeout_s: float = setting(
        "FOREMAN_HEAD_TIMEOUT",
        seconds,
        "10",
        "seconds in which the head of a request must arrive",
    )
    max_connections_per_address: int = setting(
        "FOREMAN_MAX_CONNECTIONS_PER_ADDRESS",
        count,
        "1000",
        "open connections from one address to one web process; the oldest idle one makes room",
    )
    max_body_bytes: int = setting("FOREMAN_MAX_BODY", size_bytes, "32MiB", "largest request body")
    body_budget_bytes: int = setting(
        "FOREMAN_BODY_BUDGET",
        size_bytes,
        "128MiB",
        "request bodies that one web process holds at once, then 503; at least FOREMAN_MAX_BODY",
    )
    allow_admin: bool = setting(
        "FOREMAN_ALLOW_ADMIN",
        flag,
        "0",
        "1 opens pull, push, create, copy, delete and blobs to everybody, and shows what receivers"
        " of webhooks answered",
    )
    origins: tuple[str, ...] = setting(
        "FOREMAN_ORIGINS",
        words,
        "",
        "browser origins allowed in addition to localhost, with * as wildcard",
    )
    keepalive: str = setting(
        "FOREMAN_KEEPALIVE",
        one_of("streaming", "always", "off"),
        "streaming",
        "which waiting answers get keep-alive spaces: streaming ones, always, off",
    )
    keepalive_after_s: float = setting(
        "FOREMAN_KEEPALIVE_AFTER",
        seconds,
        "20",
        "seconds a streaming client waits before the first one",
    )
    keepalive_every_s: float = setting(
        "FOREMAN_KEEPALIVE_EVERY", seconds, "15", "seconds between keep-alive bytes"
    )
    stream_buffer_bytes: int = setting(
        "FOREMAN_STREAM_BUFFER",
        size_bytes,
        "2MiB",
        "bytes of one stream that its client has not taken yet; then its target waits",
    )
