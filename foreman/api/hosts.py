"""The Host of a request: on loopback foreman answers to this machine's names only, as Ollama does.

Else a page could have its own name point to 127.0.0.1 once it is loaded (DNS rebinding): its
requests would come from its own origin, and `cors` would let them in. Bound to any other address
foreman is behind a router or in a network, and goes by names that it does not know.
"""

import re
import socket
from ipaddress import IPv4Address, IPv6Address, ip_address

from flask import Flask, request

from foreman.errors import HostRefused

_LOCAL_NAME = re.compile(r"(.+\.)?localhost|.+\.(local|internal)")
_PORT = re.compile(r":\d*\Z")


def install(app: Flask, bound_to: str) -> None:
    """Check the Host before every request, if `bound_to` is a loopback address."""
    if not _is_loopback(bound_to):
        return
    own_name = socket.gethostname().lower()

    def check() -> None:
        # HTTP/1.0 need not name one; a browser always does.
        host = _without_port(request.headers.get("Host", "")).lower()
        if host not in ("", own_name) and not _is_local(host):
            raise HostRefused

    app.before_request(check)


def _is_loopback(bound_to: str) -> bool:
    address = _address(bound_to.strip("[]"))
    return bound_to == "localhost" if address is None else address.is_loopback


def _is_local(host: str) -> bool:
    address = _address(host)
    if address is None:
        return _LOCAL_NAME.fullmatch(host) is not None
    return address.is_loopback or address.is_private or address.is_unspecified


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host if host.count(":") > 1 else _PORT.sub("", host)


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None
