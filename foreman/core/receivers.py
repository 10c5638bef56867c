"""Where a webhook may go: the form of its URL, and which addresses foreman never calls.

The URL is judged when it is named, every address when it is dialled.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import (
    AddressValueError,
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from urllib.parse import urlsplit

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Ports = Sequence[range]

URL_LIMIT_CHARS = 2048
DEFAULT_PORTS = {"http": 80, "https": 443}
_PRINTABLE = re.compile(r"[!-~]+")  # urlsplit would drop tabs and line ends without a word
_HOST = re.compile(r"(?!-)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?")
# Such a last label makes resolvers take a name for a number: 127.1, 0x7f.1, 2130706433.
_NUMBER = re.compile(r"\d+|0x[0-9a-f]*")


def _networks(*texts: str) -> tuple[Network, ...]:
    return tuple(ip_network(text) for text in texts)


# No setting opens these: link-local with the clouds' metadata services, "this network", multicast.
NEVER = _networks(
    "0.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "255.255.255.255/32",
    "100.100.100.200/32", "168.63.129.16/32", "192.0.0.192/32",
    "::/128", "fe80::/10", "fec0::/10", "ff00::/8", "fd00:ec2::/32", "fd20:ce::254/128",
)  # fmt: skip
# What `is_global` of some Python versions lets pass.
_NOT_PUBLIC = _networks(
    "100.64.0.0/10", "192.0.0.0/24", "192.88.99.0/24", "198.18.0.0/15", "240.0.0.0/4",
    "2001::/23", "2001:db8::/32", "3fff::/20", "5f00::/16",
)  # fmt: skip
_PUBLIC_V6 = IPv6Network("2000::/3")  # nothing else is handed out
_SIX_TO_FOUR = IPv6Network("2002::/16")
_NAT64 = IPv6Network("64:ff9b::/96")


ALL_PORTS = range(1, 65536)


@dataclass(frozen=True, slots=True)
class Opening:
    """A private network that receivers may be in, and on which ports."""

    network: Network
    ports: range = ALL_PORTS


def parse_opening(text: str) -> Opening:
    """Read `10.0.0.0/8`, `127.0.0.1:9000`, `10.0.0.0/8:443`, `::1/128` or `[::1]:9000`."""
    network, separator, port = _split_port(text)
    if not separator:
        return Opening(ip_network(network))
    if not (port.isascii() and port.isdecimal() and int(port) in ALL_PORTS):
        raise ValueError("each entry is network, or network:port with a port of 1 to 65535")
    return Opening(ip_network(network), range(int(port), int(port) + 1))


def _split_port(text: str) -> tuple[str, str, str]:
    if text.startswith("["):
        network, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ValueError("an IPv6 network with a port is written [::1]:9000")
        return network, rest[:1], rest[1:]
    return text.partition(":") if text.count(":") == 1 else (text, "", "")


@dataclass(frozen=True, slots=True)
class Receiver:
    """A receiver's URL in its parts."""

    scheme: str
    host: str  # lower case; an IPv6 address without brackets
    port: int
    path: str  # with the query

    @property
    def netloc(self) -> str:
        """Host and port as the Host header has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def name(self) -> str:
        """What shares one bound on attempts at once: scheme://host:port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    @property
    def address(self) -> Address | None:
        """The host, when it is an address and not a name."""
        return _address(self.host)


def parse_receiver(url: str) -> Receiver:
    """Take a URL apart; ValueError says what is wrong with it."""
    if len(url) > URL_LIMIT_CHARS or not _PRINTABLE.fullmatch(url) or "\\" in url:
        raise ValueError(f"must be printable ASCII, at most {URL_LIMIT_CHARS} characters")
    parts = urlsplit(url)  # ValueError: brackets that do not match
    if parts.scheme not in DEFAULT_PORTS:
        raise ValueError("must begin with https:// or http://")
    if "@" in parts.netloc:
        raise ValueError("must not hold a user or a password")
    try:
        port = parts.port
    except ValueError:  # its own text shows what stands there
        raise ValueError("must have a port of 1 to 65535") from None
    host = parts.hostname or ""
    if not _is_host(host) or ("[" in parts.netloc) != (":" in host):
        raise ValueError("must have a host: a name, or an address in its usual form")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Receiver(parts.scheme, host, DEFAULT_PORTS[parts.scheme] if port is None else port, path)


def _is_host(host: str) -> bool:
    if ":" in host:
        return "%" not in host and _address(host) is not None
    if _NUMBER.fullmatch(host.removesuffix(".").rpartition(".")[2]):
        return _address(host) is not None
    return len(host) <= 253 and _HOST.fullmatch(host) is not None


def _address(host: str) -> Address | None:
    try:
        return ip_address(host)
    except (AddressValueError, ValueError):
        return None


def is_blocked(address: Address, port: int, allow: Sequence[Opening]) -> bool:
    """Whether foreman may not call this address; `allow` opens private networks."""
    effective = unwrapped(address)
    if _is_in(effective, NEVER):
        return True
    if _is_in(effective, [each.network for each in allow if port in each.ports]):
        return False
    if not effective.is_global or effective.is_multicast or _is_in(effective, _NOT_PUBLIC):
        return True
    return isinstance(effective, IPv6Address) and effective not in _PUBLIC_V6


def unwrapped(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for (mapped, 6to4, NAT64), or the address."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _SIX_TO_FOUR:
        return IPv4Address(int(address) >> 80 & 0xFFFFFFFF)
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _is_in(address: Address, networks: Sequence[Network]) -> bool:
    return any(address.version == each.version and address in each for each in networks)
