"""The oracle: whether a row's promise was kept, by everything that is known of it.

Pure: evidence in, violations out. Each rule is a function; `judge` asks all of them. What a rule
objects to is named once, with the number of cases and the first of them.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator

from foreman.simulation.engine import BROKEN
from tests.chaos import answers
from tests.chaos.oracle_jobs import JOB_RULES
from tests.chaos.oracle_webhooks import WEBHOOK_RULES
from tests.chaos.row import Promise, Sees, slack_s
from tests.chaos.values import Ending, Evidence, Kind, Record, Violation

# A 500 that a target sends is passed on as it is.
TARGETS_OWN = BROKEN.encode()
ANSWERED = (Kind.CHAT, Kind.SSE, Kind.EMBED)
Rule = Callable[[Evidence, Promise], Iterator[str]]


def judge(evidence: Evidence, promise: Promise) -> list[Violation]:
    """Every promise that was not kept."""
    found: dict[str, list[str]] = defaultdict(list)
    for name, rule in RULES.items():
        for detail in rule(evidence, promise):
            found[name].append(detail)
    return [Violation(name, f"{len(each)} times: {each[0]}") for name, each in found.items()]


def is_done(record: Record) -> bool:
    """Whether a client got the whole answer that it asked for."""
    if record.status != 200 or record.ending is not Ending.WHOLE:
        return False
    heard = answers.heard(record)
    return heard.is_whole and heard.error is None and heard.text == record.expected


def name_of(record: Record) -> str:
    """A record in a report."""
    return (
        f"{record.kind} at {record.web} after {record.ended - record.started:.1f} s:"
        f" {record.status} {record.ending}, {record.body[-160:]!r} (job {record.job_id})"
    )


def _tokens(evidence: Evidence, promise: Promise) -> Iterator[str]:
    """No token is missing, doubled, mixed or late; an answer without an error is whole."""
    for record in evidence.records:
        if record.kind not in ANSWERED or record.status != 200:
            continue
        heard = answers.heard(record)
        if heard.late:
            yield f"{heard.late} pieces after the end: {name_of(record)}"
        if not record.expected.startswith(heard.text):
            yield f"got {_difference(heard.text, record.expected)}: {name_of(record)}"
        elif heard.is_whole and heard.error is None and heard.text != record.expected:
            yield f"tokens are missing at the end: {name_of(record)}"


def _ends(evidence: Evidence, promise: Promise) -> Iterator[str]:
    """A stream ends with the target's last bytes or with one error, unless its process dies."""
    for record in evidence.records:
        if record.ending in (Ending.LEFT, Ending.HUNG) or record.kind not in ANSWERED:
            continue
        is_cut = record.ending is not Ending.WHOLE
        if record.status == 200 and not is_cut:
            heard = answers.heard(record)
            is_cut = not heard.is_whole and heard.error is None
        if is_cut and record.web not in promise.cuts and not record.is_odd:
            yield f"a silent end: {name_of(record)}"


def _hangs(evidence: Evidence, promise: Promise) -> Iterator[str]:
    for record in evidence.records:
        if record.ending is Ending.HUNG and not record.is_odd:
            yield name_of(record)


def _statuses(evidence: Evidence, promise: Promise) -> Iterator[str]:
    """No defect shows, nobody's job is cancelled by others, a refusal says when to come again."""
    for record in evidence.records:
        if record.status == 500 and TARGETS_OWN not in record.body:
            yield f"500: {name_of(record)}"
        if record.status == 499:
            yield f"499: {name_of(record)}"
        if record.status == 503 and "retry-after" not in record.headers:
            yield f"503 without Retry-After: {name_of(record)}"


def _patience(evidence: Evidence, promise: Promise) -> Iterator[str]:
    """Outside the fault, and where it must not show, every answer is whole."""
    times = evidence.times
    due = times.healed + promise.recovers_s(times)
    for record in evidence.records:
        if record.is_odd or record.ending is Ending.LEFT or record.kind not in ANSWERED:
            continue
        is_before = record.ended < times.injected
        if is_done(record) or (record.web in promise.cuts and record.started < due):
            continue
        if is_before or record.started > due or promise.sees is not Sees.ERRORS:
            when = "before" if is_before else "after" if record.started > due else "in"
            yield f"{when} the fault: {name_of(record)}"


def _accepts(evidence: Evidence, promise: Promise) -> Iterator[str]:
    """Jobs are accepted meanwhile, within a lease."""
    if not promise.accepts:
        return
    limit_s = evidence.times.lease_s + slack_s(evidence.times)
    for record in evidence.records:
        if record.kind is not Kind.JOB or record.web in promise.cuts:
            continue
        took_s = record.ended - record.started
        if record.status not in (200, 202) or took_s > limit_s:
            yield name_of(record)


def _recovers(evidence: Evidence, promise: Promise) -> Iterator[str]:
    limit_s = promise.recovers_s(evidence.times)
    recovered = evidence.times.recovered
    if recovered is None:
        yield f"not within {limit_s:.0f} s, and not later"
    elif recovered - evidence.times.healed > limit_s:
        yield f"after {recovered - evidence.times.healed:.1f} s, and {limit_s:.0f} s are promised"
    for name in evidence.gone:
        yield f"{name} does not run any more"


def _readiness(evidence: Evidence, promise: Promise) -> Iterator[str]:
    """At the end of a fault that keeps requests from being served, /readyz says so."""
    times = evidence.times
    if promise.unready is None:
        return
    middle = (times.injected + times.healed) / 2
    for web in {sample.web for sample in evidence.samples} - set(promise.cuts):
        meanwhile = [
            each for each in evidence.samples if each.web == web and middle < each.at < times.healed
        ]
        for sample in meanwhile[-2:]:
            if sample.status == 200:
                left_s = times.healed - sample.at
                yield f"{web} said that it was ready {left_s:.1f} s before the end"
            elif sample.status and sample.says.get(promise.unready, "ok") == "ok":
                yield f"{web} did not name {promise.unready}: {dict(sample.says)}"


def _difference(got: str, expected: str) -> str:
    """Where two texts part."""
    place = next((i for i, (a, b) in enumerate(zip(got, expected, strict=False)) if a != b), None)
    at = len(expected) if place is None else place
    return f"{got[max(at - 20, 0) : at + 20]!r} and not {expected[max(at - 20, 0) : at + 20]!r}"


RULES: dict[str, Rule] = {
    "tokens": _tokens,
    "silent end": _ends,
    "hangs": _hangs,
    "status": _statuses,
    "clients": _patience,
    "accepts": _accepts,
    "recovery": _recovers,
    "readyz": _readiness,
    **JOB_RULES,
    **WEBHOOK_RULES,
}
