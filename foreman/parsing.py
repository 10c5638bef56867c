"""Parsers of settings: the text of a variable to its value, or ValueError with what it must be."""

import re
from collections.abc import Callable
from ipaddress import ip_network
from urllib.parse import urlsplit

from cryptography.fernet import Fernet

from foreman.core.receivers import Network, parse_receiver
from foreman.core.webhooks import secret_key

MIB = 1024 * 1024
_SIZE_UNITS = {
    "": 1,
    "k": 1024,
    "kib": 1024,
    "m": MIB,
    "mib": MIB,
    "g": 1024 * MIB,
    "gib": 1024 * MIB,
}


def seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise ValueError("must be a number of seconds above 0")
    return value


def count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError("must be a whole number above 0")
    return value


def size_bytes(text: str) -> int:
    match = re.fullmatch(r"(\d+)\s*([a-z]*)", text.strip().lower())
    if not match or match[2] not in _SIZE_UNITS or int(match[1]) == 0:
        raise ValueError("must be a size such as 8388608 or 8MiB")
    return int(match[1]) * _SIZE_UNITS[match[2]]


def flag(text: str) -> bool:
    if text not in ("0", "1"):
        raise ValueError("must be 0 or 1")
    return text == "1"


def port(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 65535:
        raise ValueError("must be a port, 1 to 65535")
    return value


def words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def text_value(text: str) -> str:
    return text


def one_of(*choices: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError("must be one of " + ", ".join(choices))
        return text

    return parse


def database_url(text: str) -> str:
    """Accept the URL as Heroku sets it and name the driver that foreman uses."""
    scheme, separator, rest = text.partition("://")
    if not separator or scheme not in ("postgres", "postgresql", "postgresql+psycopg"):
        raise ValueError("must be postgres://user:password@host:port/name")
    return f"postgresql+psycopg://{rest}"


def broker_url(text: str) -> str:
    if urlsplit(text).scheme not in ("amqp", "amqps", "redis", "rediss", "redis+socket"):
        raise ValueError("must be an amqp://, amqps://, redis://, rediss:// or redis+socket:// URL")
    return text


def receiver_url(text: str) -> str | None:
    if text:
        parse_receiver(text)
    return text or None


def webhook_secrets(text: str) -> tuple[str, ...]:
    secrets = words(text)
    for secret in secrets:
        secret_key(secret)
    if len(secrets) > 2:
        raise ValueError("must be one secret, or two while it is changed")
    return secrets


def networks(text: str) -> tuple[Network, ...]:
    return tuple(ip_network(word) for word in words(text))


def ports(text: str) -> tuple[range, ...]:
    """Parse `80,443,1024-65535`."""
    return tuple(_port_range(word) for word in words(text))


def _port_range(word: str) -> range:
    first, dash, last = word.partition("-")
    found = range(port(first), port(last if dash else first) + 1)
    if not found:
        raise ValueError("a range of ports begins with the lower one")
    return found


def fernet_keys(text: str) -> tuple[str, ...]:
    keys = words(text)
    for key in keys:
        try:
            Fernet(key)
        except ValueError as exc:
            raise ValueError("must be 32 bytes as URL-safe base64") from exc
    return keys


def largest_num_ctx(text: str) -> int | None:
    """Parse `max:8192`; None for `as-sent`."""
    if text != "as-sent" and not re.fullmatch(r"max:\d+", text):
        raise ValueError("must be as-sent, or max:<n> such as max:8192")
    return None if text == "as-sent" else count(text.removeprefix("max:"))
