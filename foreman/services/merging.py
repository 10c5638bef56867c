"""What several targets answer together: merged lists, and requests that are for each of them."""

import logging
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, wait

from foreman.adapters.target import TargetRequest
from foreman.core import headers as header_rules
from foreman.core.frames import Head
from foreman.core.lists import List, read_list, union_of
from foreman.core.surface import Route
from foreman.errors import ForemanError, NoLiveTarget, TargetError, TargetUnreachable
from foreman.runtime import WebRuntime
from foreman.services.answer import Answer
from foreman.services.meant import targets_for

log = logging.getLogger(__name__)

LIST_LIMIT_S = 3.0
# A list that was asked for so recently is given to others, too; so is the news that none came.
LIST_AGE_S = 2.0
FAILURE_AGE_S = 10.0
# For what each target does at once.
EACH_LIMIT_S = 10.0

Listed = tuple[Head, List]


class MergedLists:
    """The merged lists of one web process. Each target is asked once for all who wait for it."""

    def __init__(self, runtime: WebRuntime) -> None:
        self._runtime = runtime
        self._asked: dict[tuple[str, str], tuple[float, Future[Listed]]] = {}
        self._lock = threading.Lock()

    def expire(self) -> None:
        """The lists have probably changed: the next request asks again."""
        with self._lock:
            self._asked.clear()

    def merged(self, route: Route) -> Answer:
        """The union of the lists of all targets that answer; NoLiveTarget when none does.

        foreman reads these answers itself: it asks for them in its own words.
        """
        names = targets_for(self._runtime, route.targets, named=None)
        # In the order of the settings: of entries with one name the first counts.
        queries = [self._query(name, route) for name in self._runtime.targets if name in names]
        wait(queries, LIST_LIMIT_S)
        found = [each.result() for each in queries if each.done() and not each.exception()]
        if not found:
            raise NoLiveTarget("server busy, please try again: no target answers")
        lists = [each for _, each in found]
        # What is loaded is listed for each target that has loaded it.
        union = union_of(lists, route.list_key, is_each_once=route.path != "/api/ps")
        return Answer(200, [_content_type(found[0][0])], union)

    def _query(self, name: str, route: Route) -> Future[Listed]:
        """The query of one target that is in progress, or has just ended, or a new one."""
        key, now = (name, route.path), time.monotonic()
        with self._lock:
            if key in self._asked:
                asked_at, query = self._asked[key]
                has_failed = query.done() and query.exception() is not None
                age_s = FAILURE_AGE_S if has_failed else LIST_AGE_S
                if not query.done() or now - asked_at <= age_s:
                    return query
            query = Future()
            self._asked[key] = (now, query)
        threading.Thread(target=self._ask, args=(query, name, route), daemon=True).start()
        return query

    def _ask(self, query: Future[Listed], name: str, route: Route) -> None:
        try:
            query.set_result(self._read(name, route))
        except Exception as error:  # whatever it is: this target is not in the list
            log.warning("list not read", extra={"target": name, "error": str(error)})
            if isinstance(error, TargetUnreachable):
                self._runtime.catalog.lose(name, str(error))
            query.set_exception(error)

    def _read(self, name: str, route: Route) -> Listed:
        asked = TargetRequest("GET", route.path)
        head, body = self._runtime.targets[name].fetch(asked, silence_s=LIST_LIMIT_S)
        if head.status != 200:
            raise ValueError(f"it answered {head.status}")
        return head, self._runtime.turns.run(read_list(body, route.list_key), len(body))


def ask_each(runtime: WebRuntime, targets: Sequence[str], request: TargetRequest) -> Answer:
    """Send a request whose answer is short to several targets at once; the first one's answer.

    Of those that have answered in time; TargetError when none has.
    """
    asked: list[Future[Answer]] = []
    for name in targets:
        query: Future[Answer] = Future()
        threading.Thread(target=_ask_one, args=(runtime, name, request, query), daemon=True).start()
        asked.append(query)
    wait(asked, EACH_LIMIT_S)
    done = [each for each in asked if each.done()]
    answers = [each.result() for each in done if not each.exception()]
    if answers:
        return answers[0]
    error = next((each.exception() for each in done), None)
    raise error or TargetError(f"no answer within {EACH_LIMIT_S:g} s")


def _ask_one(runtime: WebRuntime, name: str, request: TargetRequest, query: Future[Answer]) -> None:
    try:
        head, body = runtime.targets[name].fetch(request, silence_s=EACH_LIMIT_S)
        headers = [*header_rules.of_target(head.headers), (header_rules.TARGET, name)]
        query.set_result(Answer(head.status, headers, iter([body])))
    except ForemanError as error:
        log.warning("one of several targets failed", extra={"target": name, "error": str(error)})
        query.set_exception(error)
    except Exception as error:  # a defect; it is reported to those that wait
        query.set_exception(error)


def _content_type(head: Head) -> tuple[str, str]:
    return ("Content-Type", header_rules.find(head.headers, "content-type") or "application/json")
