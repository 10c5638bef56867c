"""Ollama's surface: each route to what its class says, bytes through in both directions.

A target receives the path of the route that was found, and of headers and query what
`core.headers` names.
"""

from dataclasses import replace

from flask import Flask, Response, request

from foreman.adapters.target import TargetRequest
from foreman.api import client
from foreman.api.docs import home, is_for_a_person
from foreman.api.origin import current_origin
from foreman.api.redirects import raw_path, redirect_response
from foreman.api.respond import exchange_response, plain_response
from foreman.core import headers as header_rules
from foreman.core.bodies import named_model
from foreman.core.frames import Headers
from foreman.core.paths import decoded, last_segment
from foreman.core.priority import named_class
from foreman.core.surface import (
    Elsewhere,
    Route,
    RouteClass,
    Targets,
    WrongMethod,
    find_route,
    path_at_target,
)
from foreman.refusals import AdminRefused
from foreman.runtime import WebRuntime
from foreman.services.bypass import Bypass, Places, needs_queue
from foreman.services.capabilities import Capabilities
from foreman.services.direct import Unplaced
from foreman.services.follow import Follower
from foreman.services.forward import Forwarding
from foreman.services.meant import chosen_target, targets_for
from foreman.services.merging import MergedLists, ask_each
from foreman.services.submit import Direct, Queued, Request, Ticket, place, submit

MIB = 1024 * 1024
ALL_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


class OllamaSurface:
    """One handler for every path that foreman has no route of its own for."""

    def __init__(self, runtime: WebRuntime) -> None:
        self._runtime = runtime
        self._bypass_places = Places(runtime)
        self._capabilities = Capabilities(runtime)
        self._lists = MergedLists(runtime)

    def install(self, app: Flask) -> None:
        for rule in ("/", "/<path:path>"):
            app.add_url_rule(
                rule, "ollama", self.handle, methods=ALL_METHODS, provide_automatic_options=False
            )

    def handle(self, path: str = "") -> Response:
        route = find_route(request.method, raw_path())
        if route is None:
            return plain_response(404, "404 page not found")
        if isinstance(route, WrongMethod):
            return plain_response(
                405, "405 method not allowed", [("Allow", ", ".join(route.allowed))]
            )
        if isinstance(route, Elsewhere):
            return redirect_response(route)
        return self._serve(route)

    def _serve(self, route: Route) -> Response:
        if route.route_class is RouteClass.ADMIN:
            return self._administer(route)
        if route.route_class is RouteClass.QUEUED:
            return self._generate(route)
        if route.route_class is RouteClass.BYPASS:
            return self._embed(route)
        if route.path == "/" and is_for_a_person():
            return home()
        body = self._read_body()
        asked = _asked(route, body)
        if route.targets is Targets.ALL and self._should_merge():
            return exchange_response(self._lists.merged(route))
        targets = targets_for(
            self._runtime,
            route.targets,
            named=request.headers.get(header_rules.TARGET),
            model=self._model_of(route, body),
        )
        limit_bytes = None if route.answer_mib is None else route.answer_mib * MIB
        return exchange_response(Forwarding(self._runtime, targets, asked, limit_bytes=limit_bytes))

    def _read_body(self) -> bytes:
        return client.read_body(self._runtime.settings.max_body_bytes)

    def _generate(self, route: Route) -> Response:
        body = self._read_body()
        asked = _generation(route, body, self._runtime)
        placed = place(self._runtime, asked)
        if isinstance(placed, Direct):
            return self._pass_on(placed, _asked(route, body))
        ticket = submit(self._runtime, asked, placed)
        del asked, body, placed
        return self._follow(ticket)

    def _follow(self, ticket: Ticket) -> Response:
        """Wait for a job. Its body is the database's from here on: the wait may be long."""
        client.release_body()
        return exchange_response(Follower(self._runtime, ticket))

    def _embed(self, route: Route) -> Response:
        """An embedding: past the queue where its model is one for embeddings, else as a job."""
        body = self._read_body()
        asked = _generation(route, body, self._runtime)
        wanted = request.headers.get(header_rules.TARGET)
        if wanted is not None:
            chosen_target(self._runtime, wanted)
        if needs_queue(self._runtime, self._capabilities, asked):
            placed = place(self._runtime, asked)
            if isinstance(placed, Queued):
                # Whatever its body says, it is answered whole.
                ticket = submit(self._runtime, asked, replace(placed, streams=False))
                del asked, body, placed
                return self._follow(ticket)
        bypass = Bypass(self._runtime, self._bypass_places, asked, _asked(route, body), wanted)
        return exchange_response(bypass)

    def _should_merge(self) -> bool:
        has_choice = len(self._runtime.targets) > 1 and header_rules.TARGET not in request.headers
        return has_choice and request.method == "GET"

    def _model_of(self, route: Route, body: bytes) -> str:
        """The model that a forwarded request is about; "" for none."""
        if route.targets is not Targets.HAVING:
            return ""
        if route.path.endswith("/"):
            return decoded(last_segment(raw_path()))
        return self._runtime.turns.run(named_model(body), len(body))

    def _pass_on(self, placed: Direct, asked: TargetRequest) -> Response:
        """A generation that is no job."""
        if placed.needs_place:
            places = self._bypass_places
            return exchange_response(Unplaced(self._runtime, places, placed.targets[0], asked))
        if placed.is_for_each:
            return exchange_response(ask_each(self._runtime, placed.targets, asked))
        return exchange_response(Forwarding(self._runtime, placed.targets, asked))

    def _administer(self, route: Route) -> Response:
        """Change a target's models; the body is never held in memory."""
        if not self._runtime.settings.allow_admin:
            raise AdminRefused
        named = request.headers.get(header_rules.TARGET)
        targets = targets_for(self._runtime, route.targets, named=named)
        pieces = None if request.method == "HEAD" else client.body_pieces(None)
        is_chunked = request.content_length is None
        asked = TargetRequest(
            request.method,
            path_at_target(route, raw_path()),
            _query(route),
            header_rules.for_target(_headers()),
            pieces,
            None if is_chunked else request.content_length,
        )
        self._runtime.catalog.expire()
        self._lists.expire()
        return exchange_response(Forwarding(self._runtime, targets, asked))


def _generation(route: Route, body: bytes, runtime: WebRuntime) -> Request:
    """A request that may become a job."""
    headers = _headers()
    return Request(
        route=route,
        method=request.method,
        path=route.path,
        query=_query(route),
        headers=headers,
        body=body,
        turns=runtime.turns,
        named_class=named_class(headers),
        origin=current_origin(runtime.settings),
    )


def _asked(route: Route, body: bytes) -> TargetRequest:
    has_body = body or request.method not in ("GET", "HEAD")
    return TargetRequest(
        request.method,
        path_at_target(route, raw_path()),
        _query(route),
        header_rules.for_target(_headers()),
        body if has_body else None,
    )


def _query(route: Route) -> str:
    query = str(request.environ.get("QUERY_STRING", ""))
    return header_rules.query_for_target(query, route.path)


def _headers() -> Headers:
    return list(request.headers.items())
