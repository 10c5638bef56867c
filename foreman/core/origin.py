"""Where a request comes from, as its job's row and the logs have it: who asked, and by which trace.

The address is the connection's, unless that is a proxy of FOREMAN_TRUSTED_PROXIES: then it is the
last address of X-Forwarded-For that is not such a proxy, for whatever precedes it may be invented.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from foreman.core.frames import Headers
from foreman.core.headers import CLIENT, find

Network = IPv4Network | IPv6Network

# Longer ones are cut: they come from strangers, and are for people to search by.
TEXT_LIMIT = 200
_TRACE_PARENT = re.compile(r"[\da-f]{2}-[\da-f]{32}-[\da-f]{16}-[\da-f]{2}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Origin:
    """What a request says of its origin; None where it says nothing, or nothing usable."""

    client: str | None = None  # X-Foreman-Client
    address: str | None = None  # of IPv4 or IPv6
    request_id: str | None = None  # X-Request-Id
    traceparent: str | None = None  # W3C Trace Context

    def facts(self) -> dict[str, str]:
        """What is known of it, for a log line."""
        named = {
            "client": self.client,
            "client_address": self.address,
            "request_id": self.request_id,
            "traceparent": self.traceparent,
        }
        return {name: value for name, value in named.items() if value is not None}


UNKNOWN = Origin()


def origin_of(headers: Headers, peer: str | None, trusted: Sequence[Network]) -> Origin:
    """The origin of a request with these headers, over a connection from `peer`."""
    trace = find(headers, "traceparent") or ""
    return Origin(
        client=_text(find(headers, CLIENT.lower())),
        address=_address(headers, peer, trusted),
        request_id=_text(find(headers, "x-request-id")),
        traceparent=trace if _TRACE_PARENT.fullmatch(trace) else None,
    )


def _text(value: str | None) -> str | None:
    """Printable text that PostgreSQL takes, and that is no second line in a log."""
    kept = "".join(char for char in value or "" if char.isprintable())[:TEXT_LIMIT].strip()
    return kept or None


def _address(headers: Headers, peer: str | None, trusted: Sequence[Network]) -> str | None:
    forwarded = [value for name, value in headers if name.lower() == "x-forwarded-for"]
    named = [part.strip() for value in forwarded for part in value.split(",")]
    found = _parsed(peer)
    while found is not None and named and _is_in(found, trusted):
        before = _parsed(named.pop())
        if before is None:
            break
        found = before
    return None if found is None else str(found)


def _parsed(text: str | None) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address((text or "").partition("%")[0].strip("[]"))
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _is_in(address: IPv4Address | IPv6Address, networks: Sequence[Network]) -> bool:
    return any(address.version == each.version and address in each for each in networks)
