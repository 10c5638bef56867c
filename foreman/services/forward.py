"""Paths that do not queue: one target answers, or all of them and their lists are merged."""

import logging
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

from foreman.adapters.bounded import BoundedCall
from foreman.adapters.target import Call, TargetRequest
from foreman.core import headers as header_rules
from foreman.core.frames import Head
from foreman.core.lists import read_list, union_of
from foreman.core.queues import canonical_name
from foreman.core.replies import Framing, error_piece, stream_framing
from foreman.core.surface import Route, dialect_of
from foreman.errors import NoLiveTarget, RequestRefused, TargetError
from foreman.runtime import WebRuntime
from foreman.services.answer import Answer, check_final, failure_of
from foreman.services.submit import any_target

log = logging.getLogger(__name__)

LIST_LIMIT_S = 5.0
# For a whole answer that is short by its nature, also to a client that reads slowly.
ANSWER_LIMIT_S = 120.0


class Forwarding:
    """One request that a target answers directly, bytes through in both directions."""

    def __init__(
        self,
        runtime: WebRuntime,
        target: str,
        request: TargetRequest,
        *,
        limit_bytes: int | None = None,
    ) -> None:
        """`limit_bytes`: the answer may have no more, and it may not take long either."""
        self._request = request
        self._target = target
        client = runtime.targets[target]
        self._is_bounded = limit_bytes is not None
        self._call: Call | BoundedCall = (
            client.call()
            if limit_bytes is None
            else client.bounded_call(limit_s=ANSWER_LIMIT_S, limit_bytes=limit_bytes)
        )

    def start(self) -> Answer:
        head = self._call.send(self._request)
        self._request = replace(self._request, body=None)  # it is out; the answer may be long
        check_final(head, self._target)
        chunks = self._call.chunks()
        # An answer that is short comes at once; what is wrong before its first byte has a status.
        first = next(chunks, b"") if self._is_bounded else b""
        head = Head(head.status, header_rules.of_target(head.headers))
        headers = [*head.headers, (header_rules.TARGET, self._target)]
        return Answer(head.status, headers, self._body(first, chunks, stream_framing(head)))

    def _body(
        self, first: bytes, chunks: Iterator[bytes], framing: Framing | None
    ) -> Iterator[bytes]:
        last = first
        try:
            if first:
                yield first
            for last in chunks:
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
    heads, lists = [], []
    for name in runtime.catalog.reachable:
        with suppress(TargetError, ValueError):
            head, body = runtime.targets[name].fetch(asked, silence_s=LIST_LIMIT_S)
            if head.status == 200:
                lists.append(runtime.turns.run(read_list(body, route.list_key), len(body)))
                heads.append(head)
    if not lists:
        raise NoLiveTarget("server busy, please try again: no target answers")
    # What is loaded is listed for each target that has loaded it.
    union = union_of(lists, route.list_key, is_each_once=route.path != "/api/ps")
    return Answer(200, [_content_type(heads[0])], union)


def _content_type(head: Head) -> tuple[str, str]:
    return ("Content-Type", header_rules.find(head.headers, "content-type") or "application/json")
