"""The Host of a request: which names foreman answers to, and which of them vouch for an Origin.

A page can let its own name point to foreman's address once it is loaded (DNS rebinding). To the
browser it then talks to its own origin, so only the Host shows that it is a stranger:

- FOREMAN_HOSTS set: these names and loopback's are answered, any other gets 403, as from Ollama.
- Unset, and bound to loopback: this machine's names and addresses, by Ollama's rules.
- Unset, and bound to anything else, or `*`: every name. Behind a router foreman does not know its
  own.
- /healthz and /readyz are answered by any name; what else is refused by one gets no details there.

An Origin that equals the Host means a page of foreman's own only if the Host is foreman's for
certain (`HostNames.vouches_for`): it was checked, or it is an address, which no page of a stranger
can have as its origin. Where every name is answered a name proves nothing: such an Origin must be
one of FOREMAN_ORIGINS, as any other (`cors`).
"""

import re
import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address

from flask import Flask, request

from foreman.core.paths import HEALTH
from foreman.refusals import HostRefused

_LOCAL_NAME = re.compile(r"(.+\.)?localhost|.+\.(local|internal)")
_PORT = re.compile(r":\d*\Z")
# No name is longer. A header may be, and a pattern with several * takes the square of its length.
NAME_LIMIT = 300
_IS_STRANGE = "foreman.is_strange_host"


class HostNames:
    """The names that foreman goes by. Names are compared without port and in lower case."""

    def __init__(self, bound_to: str, names: Sequence[str] = ()) -> None:
        self._names = re.compile("|".join(_pattern(name) for name in names))
        self._has_names = bool(names)
        self._is_checked = "*" not in names if names else _is_loopback(bound_to)
        self._machine = socket.gethostname().lower()

    def allows(self, host: str) -> bool:
        """Whether a request with this Host is answered."""
        return not self._is_checked or self._is_known(host)

    def vouches_for(self, host: str) -> bool:
        """Whether only a page of foreman's own can have this Host as its origin."""
        if self._is_checked:
            return self._is_known(host)
        name = _without_port(host).lower()
        return _address(name) is not None or _is_loopback(name)

    def _is_known(self, host: str) -> bool:
        name = _without_port(host).lower()
        # HTTP/1.0 need not name one; a browser always does.
        if name == "":
            return True
        if len(name) > NAME_LIMIT:
            return False
        if self._has_names:
            return _is_loopback(name) or self._names.fullmatch(name) is not None
        return name == self._machine or _is_local(name)


def install(app: Flask, names: HostNames) -> None:
    """Check the Host before every request.

    The health endpoints answer in any case, without details: a load balancer asks by an address
    that nobody has listed.
    """

    def check() -> None:
        if names.allows(request.headers.get("Host", "")):
            return
        if request.path not in HEALTH or request.method not in ("GET", "HEAD"):
            raise HostRefused
        request.environ[_IS_STRANGE] = True

    app.before_request(check)


def is_strange() -> bool:
    """Whether this request has a Host that foreman does not go by."""
    return _IS_STRANGE in request.environ


def _pattern(name: str) -> str:
    return ".*".join(re.escape(part) for part in _without_port(name.lower()).split("*"))


def _is_loopback(bound_to: str) -> bool:
    address = _address(bound_to.strip("[]"))
    return bound_to == "localhost" if address is None else address.is_loopback


def _is_local(name: str) -> bool:
    address = _address(name)
    if address is None:
        return _LOCAL_NAME.fullmatch(name) is not None
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
