"""Settings: what the environment decides, read once, checked, frozen and passed on.

Only the entry points (`wsgi`, `celery_app`, the CLI, …) call `load` and see the environment. The
table of docs/settings.md is made from the fields below, so it cannot go stale.
"""

import dataclasses
import difflib
import os
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from foreman.connection_settings import ConnectionSettings, setting
from foreman.core.queues import model_names
from foreman.core.receivers import Opening
from foreman.errors import SettingsError
from foreman.parsing import (
    count,
    days,
    fernet_keys,
    flag,
    largest_num_ctx,
    number_or_auto,
    one_of,
    openings,
    ports,
    receiver_url,
    seconds,
    seconds_or_off,
    webhook_secrets,
)
from foreman.sizes import size_bytes

# Variables that are no more, and what has replaced them.
REPLACED = {"FOREMAN_SWAP_KAPPA": "FOREMAN_MIN_VISIT_SWAPS"}
# Read by bin/run (its data directory, the mark of its processes, the instance of an `env` file) and
# by clients.
NOT_SETTINGS = {"FOREMAN_DATA_DIR", "FOREMAN_EMBEDDED", "FOREMAN_INSTANCE", "FOREMAN_URL"}


@dataclass(frozen=True, kw_only=True)
class Settings(ConnectionSettings):
    """What the environment decides; `from_env` names the variable that is wrong."""

    sync_wait_s: float = setting(
        "FOREMAN_SYNC_WAIT",
        seconds,
        "1800",
        "seconds a synchronous request may wait in its model queue",
    )
    job_timeout_s: float = setting(
        "FOREMAN_JOB_TIMEOUT", seconds, "1800", "seconds one run of a job may take on a target"
    )
    max_wait_interactive_s: float = setting(
        "FOREMAN_MAX_WAIT_INTERACTIVE",
        seconds,
        "30",
        "seconds an interactive job waits before its residency is overdue",
    )
    max_wait_batch_s: float = setting(
        "FOREMAN_MAX_WAIT_BATCH", seconds, "600", "the same for a batch job"
    )
    min_visit_swaps: float | None = setting(
        "FOREMAN_MIN_VISIT_SWAPS",
        number_or_auto,
        "auto",
        "a visit lasts this many times its own load before an overdue residency may end it;"
        " auto: 10 to 80, by the target's load",
    )
    linger_s: float | None = setting(
        "FOREMAN_LINGER",
        seconds_or_off,
        "auto",
        "seconds an empty resident stays after an answer although another residency waits, or off;"
        " auto: as its jobs have come so far",
    )
    first_byte_s: float = setting(
        "FOREMAN_FIRST_BYTE",
        seconds,
        "300",
        "seconds to the first byte of a streamed answer; after that the target counts as sick",
    )
    target_silence_s: float = setting(
        "FOREMAN_TARGET_SILENCE",
        seconds,
        "330",
        "seconds a target may be silent in one answer (Ollama itself gives a load 300)",
    )
    bypass_concurrency: int = setting(
        "FOREMAN_BYPASS_CONCURRENCY",
        count,
        "4",
        "embedding requests at once per target and web process",
    )
    num_ctx: int | None = setting(
        "FOREMAN_NUM_CTX",
        largest_num_ctx,
        "as-sent",
        "`max:<n>` sends `num_ctx` n for none or less; set OLLAMA_CONTEXT_LENGTH to n, too",
    )
    keep_loaded: bool = setting(
        "FOREMAN_KEEP_LOADED",
        flag,
        "0",
        "1 leaves out `keep_alive` 0 while more of its queue waits",
    )
    keep_embeddings_s: float = setting(
        "FOREMAN_KEEP_EMBEDDINGS",
        seconds,
        "1800",
        "seconds an embedding model stays loaded after its last use",
    )
    pinned: tuple[str, ...] = setting(
        "FOREMAN_PINNED",
        model_names,
        "",
        "models that stay loaded on every target that has them: `name,name:tag`",
    )
    max_queue: int = setting(
        "FOREMAN_MAX_QUEUE", count, "20000", "jobs that may wait for one residency, then 503"
    )
    max_queue_total: int = setting(
        "FOREMAN_MAX_QUEUE_TOTAL", count, "100000", "jobs that may wait in all, then 503"
    )
    max_residencies: int = setting(
        "FOREMAN_MAX_RESIDENCIES",
        count,
        "8",
        "residencies of one model (its different runner options) with waiting jobs, then 503",
    )
    max_residencies_total: int = setting(
        "FOREMAN_MAX_RESIDENCIES_TOTAL",
        count,
        "200",
        "residencies of all models with waiting jobs, then 503",
    )
    max_attempts: int = setting(
        "FOREMAN_MAX_ATTEMPTS", count, "3", "runs of one job before it fails for good"
    )
    artifact_max_bytes: int = setting(
        "FOREMAN_ARTIFACT_MAX",
        size_bytes,
        "64MiB",
        "largest answer that is kept of a job accepted with 202; a larger one fails it",
    )
    retention_days: float | None = setting(
        "FOREMAN_RETENTION_DAYS",
        days,
        "30",
        "days that ended jobs are kept, with all they have, the swaps, and queues that nobody uses;"
        " 0 or off: for ever",
    )
    sync_payload_days: float | None = setting(
        "FOREMAN_SYNC_PAYLOAD_DAYS",
        days,
        "1",
        "days that the request of an ended synchronous job is kept; 0 or off: as long as its row",
    )
    retention_every_s: float = setting(
        "FOREMAN_RETENTION_EVERY", seconds, "600", "seconds between two removals of what is too old"
    )
    lease_s: float = setting(
        "FOREMAN_LEASE_S",
        seconds,
        "15",
        "seconds after which a silent worker loses its target and jobs",
    )
    shutdown_s: float = setting(
        "FOREMAN_SHUTDOWN_S", seconds, "20", "seconds running jobs may go on after SIGTERM"
    )
    client_timeout_s: float = setting(
        "FOREMAN_CLIENT_TIMEOUT",
        seconds,
        "60",
        "seconds a client may take none of our bytes, or send none",
    )
    webhook_url: str | None = setting(
        "FOREMAN_WEBHOOK_URL",
        receiver_url,
        "",
        "receiver of the events of jobs accepted with 202 that name none",
        is_secret=True,  # its path or query may hold a token
    )
    webhook_secrets: tuple[str, ...] = setting(
        "FOREMAN_WEBHOOK_SECRET",
        webhook_secrets,
        "",
        "its secret, `whsec_…`; two, comma-separated, while it is changed; unset: no signature",
        is_secret=True,
    )
    webhook_allow: tuple[Opening, ...] = setting(
        "FOREMAN_WEBHOOK_ALLOW",
        openings,
        "",
        "private networks that receivers may be in, with a port or all:"
        " `10.1.0.0/16,127.0.0.1:9000,[fd12::/48]:443`",
    )
    webhook_ports: tuple[range, ...] = setting(
        "FOREMAN_WEBHOOK_PORTS", ports, "80,443,1024-65535", "ports that receivers may have"
    )
    webhook_concurrency: int = setting(
        "FOREMAN_WEBHOOK_CONCURRENCY", count, "4", "deliveries at once to one receiver"
    )
    secret_keys: tuple[str, ...] = setting(
        "FOREMAN_SECRET_KEY",
        fernet_keys,
        "",
        "key that webhook secrets are encrypted with in the database, 32 bytes as URL-safe base64;"
        " more, comma-separated: the first encrypts, all decrypt",
        is_secret=True,
    )
    log_level: str = setting(
        "FOREMAN_LOG_LEVEL",
        one_of("DEBUG", "INFO", "WARNING", "ERROR"),
        "INFO",
        "least level that is logged",
    )

    @property
    def web_silence_s(self) -> float:
        """How long a web process may miss its heartbeats before its clients count as gone."""
        return 2 * self.lease_s

    @property
    def is_redis(self) -> bool:
        """Whether the broker speaks Redis (else it is RabbitMQ)."""
        return self.broker_url.startswith("redis")


def variables() -> list[tuple[list[str], str | None, str]]:
    """Every variable: its names (the first that is set wins), its default, its meaning."""
    rows = [field.metadata for field in dataclasses.fields(Settings)]
    return [(row["variables"], row["default"], row["meaning"]) for row in rows]


def from_env(environ: Mapping[str, str]) -> Settings:
    """Read the settings; SettingsError names the variable that is missing or wrong."""
    for name, successor in REPLACED.items():
        if environ.get(name):
            raise SettingsError(f"{name} is no setting any more: set {successor} instead")
    if "DYNO" in environ and not environ.get("FOREMAN_HOST"):
        # A Heroku dyno is reached from outside itself; everywhere else that must be asked for.
        environ = {**environ, "FOREMAN_HOST": "0.0.0.0"}
    return Settings(
        **{field.name: _read(field.metadata, environ) for field in dataclasses.fields(Settings)}
    )


def unknown_variables(environ: Mapping[str, str] = os.environ) -> dict[str, str | None]:
    """Each FOREMAN_ variable that nobody reads, and the known one that was probably meant."""
    known = {name for names, _, _ in variables() for name in names} | NOT_SETTINGS | set(REPLACED)
    strange = [name for name in environ if name.startswith("FOREMAN_") and name not in known]
    close = {name: difflib.get_close_matches(name, known, n=1, cutoff=0.8) for name in strange}
    return {name: found[0] if found else None for name, found in close.items()}


def require_address(host: str) -> None:
    """SettingsError unless FOREMAN_HOST can be resolved."""
    try:
        socket.getaddrinfo(host, None, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as exc:
        reason = getattr(exc, "strerror", None) or exc
        raise SettingsError(f"FOREMAN_HOST is wrong: {host}: {reason}") from exc


def load(*, is_bound: bool = False) -> Settings:
    """For entry points: the settings of this process, or its end with a sentence that says why.

    `is_bound`: this process listens on FOREMAN_HOST.
    """
    try:
        settings = from_env(os.environ)
        if is_bound:
            require_address(settings.host)
    except SettingsError as error:
        sys.exit(f"foreman: {error}")
    return settings


def _read(row: Mapping[str, Any], environ: Mapping[str, str]) -> Any:
    names: list[str] = row["variables"]
    name = next((name for name in names if environ.get(name)), None)
    if name is None and row["default"] is None:
        raise SettingsError(f"{' or '.join(names)} is not set: {row['meaning']}")
    try:
        return row["parse"](environ[name] if name else row["default"])
    except ValueError as exc:
        raise SettingsError(f"{name} is wrong: {exc}") from exc
