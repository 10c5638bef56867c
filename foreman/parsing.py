"""Parsers of settings: the text of a variable to its value, or ValueError with what it must be."""

import re
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from cryptography.fernet import Fernet

from foreman.core.broker_tls import SCHEMES, read_tls
from foreman.core.receivers import Opening, parse_opening, parse_receiver
from foreman.core.webhooks import secret_key
from foreman.sizes import memory_bytes

# As SQLAlchemy reads it. What it would take for the host or the port is shown in errors.
_DATABASE_SERVER = re.compile(
    r"([^:/@]*(:[^@]*)?@)?(\[[^\]/?]*\]|[^/:?@]*)(:\d{0,5})?([/?]|$)", re.ASCII
)
_DATABASE_FORM = "postgres://user:password@host:port/name"
_ESCAPE = "special characters of a password are written as %XX"


def _number(text: str, meaning: str) -> float:
    """A finite number that is not below 0; ValueError with `meaning` of anything else."""
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 <= value < float("inf"):
        raise ValueError(f"must be {meaning}")
    return value


def _whole(text: str, least: int, largest: float, meaning: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if not least <= value <= largest:
        raise ValueError(f"must be {meaning}")
    return value


def seconds(text: str) -> float:
    meaning = "a number of seconds above 0"
    if not (value := _number(text, meaning)):
        raise ValueError(f"must be {meaning}")
    return value


def days(text: str) -> float | None:
    """A number of days; None, for ever, when it is 0 or off."""
    meaning = "a number of days, at most 36500, or off"
    value = 0.0 if text == "off" else _number(text, meaning)
    if value > 36500:
        raise ValueError(f"must be {meaning}")
    return value or None


def count(text: str) -> int:
    return _whole(text, 1, float("inf"), "a whole number above 0")


def seconds_or_off(text: str) -> float | None:
    """A number of seconds; 0 is off, and None is auto."""
    if text in ("auto", "off"):
        return None if text == "auto" else 0.0
    return _number(text, "auto, off or a number of seconds")


def number_or_auto(text: str) -> float | None:
    """A number that is not below 0; None is auto."""
    return None if text == "auto" else _number(text, "auto or a number that is not below 0")


def flag(text: str) -> bool:
    if text not in ("0", "1"):
        raise ValueError("must be 0 or 1")
    return text == "1"


def port(text: str) -> int:
    return _whole(text, 1, 65535, "a port, 1 to 65535")


def host(text: str) -> str:
    """A name or an address, one of IPv6 with brackets or without."""
    return text.removeprefix("[").removesuffix("]")


def authority(host: str, port: int) -> str:
    """`host:port` as a URL and gunicorn have it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


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
        raise ValueError(f"must be {_DATABASE_FORM}")
    if not _DATABASE_SERVER.match(rest):
        raise ValueError(f"must be {_DATABASE_FORM}; {_ESCAPE}")
    return f"postgresql+psycopg://{rest}"


def broker_url(text: str) -> str:
    if _split(text).scheme not in SCHEMES:
        raise ValueError("must be an amqp://, amqps://, redis://, rediss:// or redis+socket:// URL")
    if ";" in text:
        # kombu would read a list of brokers, and Celery would show their passwords.
        raise ValueError("must be one URL; a semicolon in a password is written as %3B")
    _require_port(text)
    tls = read_tls(text)
    if missing := [file for file in (tls.files if tls else []) if not Path(file).is_file()]:
        raise ValueError(f"there is no file {missing[0]}")
    return text


def _split(url: str) -> SplitResult:
    """A URL in its parts; an error shows nothing of it, since a password may be part of it."""
    try:
        return urlsplit(url)
    except ValueError:
        raise ValueError(f"its host is not valid; {_ESCAPE}") from None


def _require_port(url: str) -> None:
    """ValueError unless what follows the host is a port.

    With `/`, `#` or `?` in a password the libraries take a part of it for the port, and show it.
    """
    try:
        is_port = urlsplit(url).port is None or urlsplit(url).port
    except ValueError:
        is_port = False
    if not is_port:
        raise ValueError(f"its port must be 1 to 65535; {_ESCAPE}") from None


def ca_file(text: str) -> str | None:
    """A file of CAs, or a folder of them; None: those of the `certifi` package."""
    if text and not Path(text).exists():
        raise ValueError(f"there is no file {text}")
    return text or None


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


def openings(text: str) -> tuple[Opening, ...]:
    """Parse `10.1.0.0/16,127.0.0.1:9000,[::1]:9000`."""
    return tuple(parse_opening(word) for word in words(text))


def networks(text: str) -> tuple[IPv4Network | IPv6Network, ...]:
    """Parse `10.0.0.0/8,127.0.0.1`."""
    try:
        return tuple(ip_network(word) for word in words(text))
    except ValueError as exc:
        raise ValueError("must be networks or addresses such as 10.0.0.0/8,127.0.0.1") from exc


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


@dataclass(frozen=True, kw_only=True)
class TargetSpec:
    """One Ollama server of FOREMAN_TARGETS."""

    name: str
    url: str  # scheme://host:port/path, without credentials and without a slash at its end
    slots: int  # jobs at once of one resident: that server's OLLAMA_NUM_PARALLEL
    residents: int | None = None  # models at once; None: as many as it is seen to hold
    memory_bytes: int | None = None  # of all models together; None: what it is seen to hold
    authorization: str | None = field(default=None, repr=False)  # header of each request to it


_TARGET_OPTIONS = ("slots", "residents", "memory")
_TARGET_PATH = re.compile(r"(/[\w.~%+-]+)*/?", re.ASCII)
_TARGET_FORM = "http://user:password@host:port/path?slots=N"


def targets(text: str) -> tuple[TargetSpec, ...]:
    """Parse `name=http://host:port?slots=4&residents=2&memory=48GiB,…`; no option is required.

    The names are the caller's choice.
    """
    specs = tuple(_target(entry) for entry in words(text))
    if not specs or len({spec.name for spec in specs}) != len(specs):
        raise ValueError("must name at least one target, and each name once")
    return specs


def _target(entry: str) -> TargetSpec:
    name, separator, url = entry.partition("=")
    is_named = separator and re.fullmatch(r"[\w.-]{1,64}", name)
    # What precedes `=` may be part of a password with a comma in it.
    if not is_named or not url.lower().startswith(("http://", "https://")):
        raise ValueError(f"each target is name={_TARGET_FORM}; {_ESCAPE}")
    _require_port(url)
    parts = _split(url)
    is_path = _TARGET_PATH.fullmatch(parts.path) and "@" not in parts.query + parts.fragment
    if not parts.hostname or not is_path:
        raise ValueError(f"target {name}: the URL must be {_TARGET_FORM}; {_ESCAPE}")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if unknown := [each for each in options if each not in _TARGET_OPTIONS]:
        known = ", ".join(_TARGET_OPTIONS)
        raise ValueError(f"target {name}: the options are {known}, not {', '.join(unknown)}")
    server = parts.netloc.rpartition("@")[2]
    return TargetSpec(
        name=name,
        url=f"{parts.scheme}://{server}{parts.path.rstrip('/')}",
        slots=_option(name, options, "slots", count) or 1,
        residents=_option(name, options, "residents", count),
        memory_bytes=_option(name, options, "memory", memory_bytes),
        authorization=_basic(parts),
    )


def _basic(parts: SplitResult) -> str | None:
    """The value of an Authorization header for the user and the password of a URL."""
    if parts.username is None:
        return None
    user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return "Basic " + b64encode(user.encode()).decode()


def _option(
    target: str, options: Mapping[str, str], key: str, parse: Callable[[str], int]
) -> int | None:
    try:
        return parse(options[key]) if key in options else None
    except ValueError as exc:
        raise ValueError(f"target {target}: {key}: {exc}") from exc
