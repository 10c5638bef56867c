"""Which headers pass through foreman, in each direction.

Hop-by-hop headers belong to one connection. A target is addressed by its own `Host`; `Origin` is
settled by foreman. Credentials stop here: they are for foreman, and a job's headers are stored.
"""

from collections.abc import Iterable

from foreman.core.frames import Headers

JOB_ID = "X-Foreman-Job-Id"
TARGET = "X-Foreman-Target"
CHANGED = "X-Foreman-Changed"  # what foreman changed in the request's body

_HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_NOT_TO_TARGET = _HOP_BY_HOP | {
    "authorization",
    "content-length",
    "cookie",
    "expect",
    "host",
    "origin",
    "proxy-authorization",
    "x-api-key",
}
# gunicorn writes Date and Server itself.
_NOT_TO_CLIENT = _HOP_BY_HOP | {"date", "server"}


def for_target(headers: Iterable[tuple[str, str]]) -> Headers:
    """The client's headers as a target gets them."""
    return _without(_NOT_TO_TARGET, list(headers))


def for_client(headers: Iterable[tuple[str, str]]) -> Headers:
    """A target's headers as the client gets them."""
    return _without(_NOT_TO_CLIENT, list(headers))


def with_change(headers: Headers, change: str) -> Headers:
    """An answer's headers with one more change named; "" is none."""
    if not change:
        return headers
    told = [value for name, value in headers if name.lower() == CHANGED.lower()]
    others = [pair for pair in headers if pair[0].lower() != CHANGED.lower()]
    return [*others, (CHANGED, ", ".join([*told, change]))]


def _without(dropped: frozenset[str], headers: Headers) -> Headers:
    named = (value for name, value in headers if name.lower() == "connection")
    # What `Connection` names is hop-by-hop, too.
    dropped = dropped | {name.strip().lower() for value in named for name in value.split(",")}
    return [(name, value) for name, value in headers if name.lower() not in dropped]


def find(headers: Iterable[tuple[str, str]], name: str) -> str | None:
    """The first value of a header, by its name in any case."""
    return next((value for key, value in headers if key.lower() == name), None)
