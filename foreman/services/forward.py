"""Paths that do not queue: one target answers, or all of them and their lists are merged."""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from foreman.adapters.target import Call, TargetRequest
from foreman.core import headers as header_rules
from foreman.core.frames import Head
from foreman.core.go_json import items
from foreman.core.queues import canonical_name
from foreman.core.replies import Framing, error_piece, stream_framing
from foreman.core.surface import Route, dialect_of
from foreman.errors import NoLiveTarget, RequestRefused, TargetError
from foreman.runtime import WebRuntime
from foreman.services.answer import Answer, check_final, failure_of
from foreman.services.submit import any_target

log = logging.getLogger(__name__)

LIST_LIMIT_S = 5.0


class Forwarding:
    """One request that a target answers directly, bytes through in both directions."""

    def __init__(self, runtime: WebRuntime, target: str, request: TargetRequest) -> None:
        self._request = request
        self._target = target
        self._call: Call = runtime.targets[target].call()

    def start(self) -> Answer:
        head = self._call.send(self._request)
        self._request = replace(self._request, body=None)  # it is out; the answer may be long
        check_final(head, self._target)
        head = Head(head.status, header_rules.of_target(head.headers))
        headers = [*head.headers, (header_rules.TARGET, self._target)]
        return Answer(head.status, headers, self._body(stream_framing(head)))

    def _body(self, framing: Framing | None) -> Iterator[bytes]:
        last = b""
        try:
            for last in self._call.chunks():
                yield last
        except TargetError as error:
            if framing is None or self._call.is_aborted:
                raise  # the connection is closed short of what was promised, or by the client
            log.info("stream ended with an error", extra={"code": error.code, "error": str(error)})
            yield error_piece(framing, dialect_of(self._request.path), failure_of(error), last=last)
        finally:
            self.close()

    def leave(self) -> None:
        self._call.abort()

    def close(self) -> None:
        self._call.close()


def target_for(runtime: WebRuntime, model: str) -> str:
    """The target that has a model, by any of its names; one that answers when none has."""
    name = canonical_name(model)
    found = runtime.catalog.find(name) if name else None
    return found.targets[0] if found else any_target(runtime)


def chosen_target(runtime: WebRuntime, wanted: str | None) -> str:
    """The target that X-Foreman-Target names; the first one when it names none."""
    if wanted is None:
        return next(iter(runtime.targets))
    if wanted not in runtime.targets:
        known = ", ".join(runtime.targets)
        raise RequestRefused(f"{header_rules.TARGET} names no target; there are: {known}")
    return wanted


def merged(runtime: WebRuntime, route: Route) -> Answer:
    """The union of the lists of all targets that answer.

    foreman reads these answers itself: it asks for them in its own words.
    """
    asked = TargetRequest("GET", route.path)
    answers = []
    for name in runtime.catalog.reachable:
        with suppress(TargetError, ValueError, RecursionError):
            head, body = runtime.targets[name].fetch(asked, silence_s=LIST_LIMIT_S)
            whole = json.loads(body)
            if head.status == 200 and isinstance(whole, dict):
                answers.append((head, whole))
    if not answers:
        raise NoLiveTarget("server busy, please try again: no target answers")
    union = _union(route, [entry for _, whole in answers for entry in _entries(route, whole)])
    text = json.dumps(
        {**answers[0][1], route.list_key: union}, separators=(",", ":"), ensure_ascii=False
    )
    return Answer(200, [_content_type(answers[0][0])], iter([text.encode(errors="replace")]))


def _entries(route: Route, whole: Mapping[str, object]) -> list[Mapping[str, object]]:
    return [entry for entry in items(whole.get(route.list_key)) if isinstance(entry, dict)]


def _content_type(head: Head) -> tuple[str, str]:
    return ("Content-Type", header_rules.find(head.headers, "content-type") or "application/json")


def _union(route: Route, entries: Sequence[Mapping[str, object]]) -> Sequence[Mapping[str, object]]:
    """Each model once; what is loaded is listed for each target that has loaded it."""
    if route.path == "/api/ps":
        return entries
    seen = {str(entry.get("name") or entry.get("id")): entry for entry in reversed(entries)}
    return list(reversed(seen.values()))
