"""What the URL of a broker says about TLS: verified unless it says otherwise.

`rediss://` and `amqps://` take the same parameters, those of redis-py. The libraries read them
differently, or not at all, so they are read here and handed over by `adapters.broker`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

SCHEMES = ("amqp", "amqps", "redis", "rediss", "redis+socket")
TLS_SCHEMES = ("amqps", "rediss")
PREFIX = "ssl_"
# "optional" makes a client verify as "required" does.
_VERIFIES = {"required": True, "optional": True, "none": False}
_FLAGS = {"true": True, "false": False}
_FILES = {"ssl_ca_certs": "ca_file", "ssl_certfile": "cert_file", "ssl_keyfile": "key_file"}


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerTls:
    """How the broker's certificate is checked, and which one is shown to it."""

    host: str  # that the certificate must name
    is_verified: bool = True
    checks_host: bool = True
    ca_file: str | None = None  # None: the CAs of the system, or SSL_CERT_FILE
    cert_file: str | None = None
    key_file: str | None = None

    @property
    def files(self) -> list[str]:
        return [each for each in (self.ca_file, self.cert_file, self.key_file) if each]


def read_tls(url: str) -> BrokerTls | None:
    """The TLS of a broker's URL, None without; ValueError names the parameter that is wrong.

    No message contains a part of the URL that may be secret.
    """
    parts = urlsplit(url)
    given = {name: value for name, value in parse_qsl(parts.query) if name.startswith(PREFIX)}
    if parts.scheme not in TLS_SCHEMES:
        if given:
            raise ValueError(f"{min(given)} needs a rediss:// or amqps:// URL")
        return None
    return BrokerTls(
        host=parts.hostname or "localhost",
        is_verified=_choice(given, "ssl_cert_reqs", _VERIFIES, "required"),
        checks_host=_choice(given, "ssl_check_hostname", _FLAGS, "true"),
        **_files(given),
    )


def with_options(url: str, options: Mapping[str, str]) -> str:
    """The URL with these TLS parameters in place of its own."""
    parts = urlsplit(url)
    kept = [pair for pair in parse_qsl(parts.query) if not pair[0].startswith(PREFIX)]
    return urlunsplit(parts._replace(query=urlencode([*kept, *options.items()])))


def _choice(given: dict[str, str], name: str, choices: Mapping[str, bool], default: str) -> bool:
    value = given.pop(name, default).lower().removeprefix("cert_")
    if value not in choices:
        raise ValueError(f"{name} must be one of " + ", ".join(choices))
    return choices[value]


def _files(given: Mapping[str, str]) -> dict[str, str]:
    if unknown := given.keys() - _FILES.keys():
        raise ValueError(f"unknown parameter {min(unknown)}")
    return {_FILES[name]: value for name, value in given.items()}
