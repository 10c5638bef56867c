"""Where `bin/run` lets webhooks go by default: to the example receiver, and nowhere else here."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from foreman.config import Settings
from foreman.embedded.report import LOOPBACK
from foreman.listen import LISTEN_PORT

DEFAULT_PORTS = {"amqp": 5672, "amqps": 5671, "redis": 6379, "rediss": 6379, "http": 80,
                 "https": 443, "postgresql+psycopg": 5432}  # fmt: skip


def own_ports(settings: Settings, flower_port: int) -> frozenset[int]:
    """The ports of foreman, of its servers and of its targets, wherever they are."""
    urls = [settings.database_url, settings.broker_url, *(each.url for each in settings.targets)]
    found = {port for url in urls if (port := _port(url)) is not None}
    return frozenset(found | {settings.port, flower_port})


def _port(url: str) -> int | None:
    """The port of a server; None of one on a unix socket."""
    parts = urlsplit(url)
    try:
        return parts.port or DEFAULT_PORTS.get(parts.scheme)
    except ValueError:  # a database's password may hold what urlsplit takes for the path
        return DEFAULT_PORTS.get(parts.scheme)


def webhook_allow(environ: Mapping[str, str], settings: Settings, flower_port: int) -> str:
    """FOREMAN_WEBHOOK_ALLOW: the user's, also when it is empty, or `webhook-listen` here.

    Whoever reaches the web process from elsewhere shall not reach this machine's own ports
    through it.
    """
    if (chosen := environ.get("FOREMAN_WEBHOOK_ALLOW")) is not None:
        return chosen
    if settings.host not in LOOPBACK or LISTEN_PORT in own_ports(settings, flower_port):
        return ""
    # `localhost` is both.
    return f"127.0.0.1:{LISTEN_PORT},[::1]:{LISTEN_PORT}"
