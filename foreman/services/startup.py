"""What a process reports when it starts: risky settings, and why a server refuses it.

A process starts without its servers and connects when it can. The reason is logged here once, with
the name of the variable; each later error is only that of a library.
"""

import logging
import ssl
import threading
from collections.abc import Iterator

from foreman.adapters import broker
from foreman.config import Settings, unknown_variables
from foreman.store.db import connect_problem
from foreman.store.revision import REVISION, found_revision

log = logging.getLogger(__name__)

# Both servers, when each is silent.
CHECK_LIMIT_S = 15.0
BROKER_VARIABLES = "FOREMAN_BROKER_URL, CLOUDAMQP_URL or REDIS_URL"


def warn(settings: Settings) -> None:
    """Warn of settings that work and are risky, and of variables that nobody reads."""
    for name, meant in unknown_variables().items():
        log.warning("unknown variable ignored", extra={"variable": name, "did_you_mean": meant})
    if not settings.secret_keys:
        log.warning(
            "webhook secrets are stored in plain text", extra={"variable": "FOREMAN_SECRET_KEY"}
        )


def tables_problem(settings: Settings) -> str | None:
    """Why a process cannot work with the database's tables; None when it can, or none answers.

    Those of a newer version are logged: during a deploy both versions run.
    """
    found = found_revision(settings.database_url)
    if found is None or found == REVISION:
        return None
    if found == "":
        return "the database has no tables of foreman: run `foreman migrate` first"
    if found < REVISION:
        return f"the database is at revision {found}, not {REVISION}: run `foreman migrate` first"
    reason = f"a newer version of foreman has migrated it to {found}; this one knows {REVISION}"
    log.warning("database has tables of a newer version", extra={"error": reason})
    return None


def check_servers(settings: Settings) -> threading.Thread:
    """Try database and broker once, on a thread of its own, and log why one refuses us."""
    thread = threading.Thread(target=_check, args=(settings,), name="startup", daemon=True)
    thread.start()
    return thread


def _check(settings: Settings) -> None:
    if reason := connect_problem(settings.database_url):
        log.error("database cannot be used", extra={"error": reason})
    if reason := broker_problem(settings):
        log.error("broker cannot be used", extra={"error": reason})


def broker_problem(settings: Settings) -> str | None:
    """Why the broker cannot be used; None when it can."""
    connection = broker.connect(settings)
    try:
        connection.channel()
    except Exception as exc:  # the libraries' errors are many; each means the same here
        return f"{BROKER_VARIABLES}: {_explained(exc)}"
    finally:
        connection.collect()
    return None


def _explained(error: BaseException) -> str:
    for each in _causes(error):
        if isinstance(each, ssl.SSLCertVerificationError):
            return (
                f"its certificate is not trusted: {each.verify_message}; name the file of its CA"
                " with ?ssl_ca_certs= or in SSL_CERT_FILE, or add ?ssl_cert_reqs=none"
            )
        if isinstance(each, ssl.SSLError):
            return f"the TLS handshake failed: {each.reason}"
    return str(error) or type(error).__name__


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
