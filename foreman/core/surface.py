"""Every route of Ollama's surface and what foreman does with it.

What is not in the table is refused with Ollama's own 404, new routes of later versions included,
until somebody decides here what they are.
"""

from dataclasses import dataclass
from enum import StrEnum

from foreman.core.paths import as_location, cleaned, decoded, escaped, last_segment


class RouteClass(StrEnum):
    QUEUED = "queued"  # a generation: a job, through its model queue
    BYPASS = "bypass"  # an embedding: straight to a target, bounded
    FORWARDED = "forwarded"  # answered by one target
    MERGED = "merged"  # a list: the union of what all targets say
    ADMIN = "admin"  # changes a target's models


class Targets(StrEnum):
    """Which targets a request means that names none in X-Foreman-Target."""

    CHOSEN = "chosen"  # the first of the settings: what is uploaded has to meet what uses it
    ANY = "any"  # one that answers
    HAVING = "having"  # one that answers and has the model
    ALL_HAVING = "all having"  # all of these
    ALL = "all"  # all that answer


class Dialect(StrEnum):
    """Whose form an error of foreman's own takes."""

    OLLAMA = "ollama"
    OPENAI = "openai"
    ANTHROPIC = "anthropic"


@dataclass(frozen=True, slots=True)
class Route:
    """One path of the surface; a path may end in one free segment (`prefix`)."""

    path: str
    methods: tuple[str, ...]
    route_class: RouteClass
    targets: Targets
    dialect: Dialect
    list_key: str = ""  # of a merged answer: the field that holds the list
    answer_mib: int | None = None  # at most; None: it may be as long as it takes
    # Of a request that only unloads: what has the model and has not loaded it does nothing then.
    unload_at: Targets | None = None


_TARGETS = {
    RouteClass.QUEUED: Targets.HAVING,
    RouteClass.BYPASS: Targets.HAVING,
    RouteClass.MERGED: Targets.ALL,
    RouteClass.ADMIN: Targets.CHOSEN,
}


def _route(
    methods: str,
    path: str,
    route_class: RouteClass,
    targets: Targets | None = None,
    **more: object,
) -> Route:
    dialect = Dialect.OPENAI if path.startswith("/v1/") else Dialect.OLLAMA
    if path == "/v1/messages":
        dialect = Dialect.ANTHROPIC
    meant = targets or _TARGETS[route_class]
    return Route(path, tuple(methods.split()), route_class, meant, dialect, **more)  # type: ignore[arg-type]  # the table's own keywords


ROUTES = (
    _route("POST", "/api/generate", RouteClass.QUEUED, unload_at=Targets.ALL_HAVING),
    _route("POST", "/api/chat", RouteClass.QUEUED, unload_at=Targets.ALL_HAVING),
    _route("POST", "/v1/chat/completions", RouteClass.QUEUED),
    _route("POST", "/v1/completions", RouteClass.QUEUED),
    _route("POST", "/v1/responses", RouteClass.QUEUED),
    _route("POST", "/v1/messages", RouteClass.QUEUED),
    _route("POST", "/v1/audio/transcriptions", RouteClass.QUEUED),
    _route("POST", "/api/embed", RouteClass.BYPASS),
    _route("POST", "/api/embeddings", RouteClass.BYPASS),
    _route("POST", "/v1/embeddings", RouteClass.BYPASS),
    _route("GET HEAD", "/api/tags", RouteClass.MERGED, list_key="models", answer_mib=16),
    _route("GET", "/api/ps", RouteClass.MERGED, list_key="models", answer_mib=16),
    _route("GET", "/v1/models", RouteClass.MERGED, list_key="data", answer_mib=16),
    _route("GET HEAD", "/", RouteClass.FORWARDED, Targets.ANY, answer_mib=16),
    _route("GET HEAD", "/api/version", RouteClass.FORWARDED, Targets.ANY, answer_mib=16),
    # With `verbose` it names each of a model's 250 000 tokens.
    _route("POST", "/api/show", RouteClass.FORWARDED, Targets.HAVING, answer_mib=64),
    _route("GET", "/v1/models/", RouteClass.FORWARDED, Targets.HAVING, answer_mib=16),
    _route("POST", "/api/pull", RouteClass.ADMIN),
    _route("POST", "/api/push", RouteClass.ADMIN),
    _route("POST", "/api/create", RouteClass.ADMIN),
    _route("POST", "/api/copy", RouteClass.ADMIN),
    _route("DELETE", "/api/delete", RouteClass.ADMIN),
    _route("POST HEAD", "/api/blobs/", RouteClass.ADMIN),
)

# In Ollama's table too, and left out on purpose: /api/me, /api/signout, /api/user/keys/… and
# /api/status act for the server's owner on ollama.com; /api/experimental/web_search, web_fetch and
# model-recommendations fetch from the target's network.

_EXACT = {
    route.path: route for route in ROUTES if not route.path.endswith("/") or route.path == "/"
}
_PREFIXES = tuple(route for route in ROUTES if route.path.endswith("/") and route.path != "/")


@dataclass(frozen=True, slots=True)
class WrongMethod:
    """The path is known, the method is not: 405 with `Allow`."""

    allowed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """The path is another spelling of `path`: a redirect, as Ollama's two routers answer."""

    path: str
    status: int = 307


def find_route(method: str, path: str) -> Route | WrongMethod | Elsewhere | None:
    """Place a request by its path as the client spelled it; None is Ollama's 404."""
    # 1. Go's mux redirects what is not clean, known or not, before anybody looks for a route.
    if (elsewhere := cleaner_path(path)) is not None:
        return elsewhere
    # 2. gin matches the decoded path.
    matched = decoded(path)
    route = _find(matched)
    if route is not None:
        return route if method in route.methods else WrongMethod(route.methods)
    # 3. It drops a slash at the end where that leads to a route of this very method.
    shorter = matched.removesuffix("/")
    route = _find(shorter)
    if route is None or method not in route.methods:
        return None
    return Elsewhere(as_location(shorter), 301 if method == "GET" else 307)


def cleaner_path(path: str) -> Elsewhere | None:
    """The redirect for a path with empty or dot segments; None for a clean one."""
    spelled = escaped(path)
    clean = cleaned(spelled)
    # The mux takes the escaped path for a decoded one: Ollama's redirects escape `%` once more.
    return None if clean == spelled else Elsewhere(as_location(clean))


def path_at_target(route: Route, path: str) -> str:
    """The path that a target receives: the route's, and of the client's only a free segment.

    Another spelling of the route could be another route, or a redirect, to the target.
    """
    has_segment = route in _PREFIXES
    return route.path + last_segment(path) if has_segment else route.path


def _find(path: str) -> Route | None:
    if path in _EXACT:
        return _EXACT[path]
    for route in _PREFIXES:
        segment = path.removeprefix(route.path)
        if segment != path and segment and "/" not in segment:
            return route
    return None


def dialect_of(path: str) -> Dialect:
    """The form in which a caller of `path` expects an error."""
    if path.startswith("/v1/messages"):
        return Dialect.ANTHROPIC
    return Dialect.OPENAI if path.startswith("/v1/") else Dialect.OLLAMA
