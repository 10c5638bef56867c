"""The contract of a real Ollama: 68 recorded exchanges, and what "answers the same" means.

Used against the simulated Ollama and against foreman in front of it. What differs from run to run
is masked, but only where it has the right form: a time that is not a time stays and differs. Ids
are numbered in the order of their first use, so that chunks of one stream must agree on theirs.
"""

import http.client
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

GOLDEN = Path(__file__).parent / "golden" / "ollama-0.33.jsonl"
# Headers that mean something to a client; the rest is the server's own business.
HEADERS = ("content-type", "allow", "location", "cache-control")
TIMEOUT_S = 20.0


@dataclass(frozen=True)
class Recorded:
    """One answer."""

    status: int
    headers: Mapping[str, str]
    body: str


@dataclass(frozen=True)
class Exchange:
    """One request and the answer that a real Ollama gave."""

    name: str
    method: str
    path: str
    request: str | None
    answer: Recorded


def _read(line: str) -> Exchange:
    row = json.loads(line)
    answer = Recorded(row["status"], row["headers"], row["body"] or "")
    return Exchange(row["name"], row["method"], row["path"], row["request"], answer)


EXCHANGES = [_read(line) for line in GOLDEN.read_text().splitlines()]


def send(base_url: str, exchange: Exchange) -> Recorded:
    """Send the recorded request, with no header that was not asked for."""
    connection = http.client.HTTPConnection(urlsplit(base_url).netloc, timeout=TIMEOUT_S)
    try:
        body = None if exchange.request is None else exchange.request.encode()
        connection.request(exchange.method, exchange.path, body=body)
        answer = connection.getresponse()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        return Recorded(answer.status, headers, answer.read().decode())
    finally:
        connection.close()


def assert_same(exchange: Exchange, recorded: Recorded) -> None:
    """AssertionError says in what `recorded` is not what a real Ollama answered."""
    golden = exchange.answer
    assert recorded.status == golden.status, recorded
    for name in HEADERS:
        assert recorded.headers.get(name) == golden.headers.get(name), name
    _assert_same_framing(exchange, recorded)
    kind = golden.headers.get("content-type", "")
    assert list(_comparable(recorded.body, kind)) == list(_comparable(golden.body, kind))


def _assert_same_framing(exchange: Exchange, recorded: Recorded) -> None:
    golden = exchange.answer
    for name in ("content-length", "transfer-encoding"):
        assert (name in recorded.headers) == (name in golden.headers), name
    if "content-length" not in recorded.headers:
        return
    length = int(recorded.headers["content-length"])
    if exchange.method != "HEAD":
        assert length == len(recorded.body.encode())
    elif exchange.path != "/api/version":  # versions differ in length
        assert length == int(golden.headers["content-length"])


def _comparable(body: str, content_type: str) -> Iterator[Any]:
    """The body's pieces in order: lines, events, or the one object; masked."""
    mask = _Mask()
    if "json" in content_type and body:
        yield f"{body.count(chr(10))} newlines, the last at the end: {body.endswith(chr(10))}"
        for line in body.splitlines():
            yield mask.value("", _parsed(line))
    elif content_type == "text/event-stream":
        for event in body.split("\n\n"):
            for line in event.split("\n"):
                name, separator, value = line.partition(": ")
                yield (name, separator, _event_value(name, value, mask))
    else:
        yield body


def _event_value(name: str, value: str, mask: "_Mask") -> Any:
    return mask.value("", _parsed(value)) if name == "data" and value[:1] == "{" else value


def _parsed(text: str) -> Any:
    """JSON with its order kept and its form checked: compact, as Go writes it."""
    bare = re.sub(r'"(?:\\.|[^"\\])*"', '""', text)
    assert not re.search(r"\s", bare), f"not compact: {text[:200]}"
    assert not re.search(r"[<>&\u2028\u2029]", text), f"not escaped as Go does: {text[:200]}"
    return json.loads(text, object_pairs_hook=_Pairs)


class _Pairs(list[tuple[str, Any]]):
    """An object as its pairs in order."""


_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{0,8}[1-9])?Z")
_HEX64 = re.compile(r"[0-9a-f]{64}")
_GENERATED = re.compile(
    r"(chatcmpl-\d+|cmpl-\d+|resp_\d+|msg_\d+|msg_[0-9a-f]{24}|req_[0-9a-f]{24}|call_\w+)"
)
_VERSION = re.compile(r"\d+\.\d+\.\d+")
_FORMS = {
    "created_at": _TIME,
    "modified_at": _TIME,
    "expires_at": _TIME,
    "digest": _HEX64,
    "version": _VERSION,
}
_NUMBERS = re.compile(r".*_duration|created|created_at|completed_at|size")


class _Mask:
    """Replaces what may differ; one mask a body, for it numbers the ids."""

    def __init__(self) -> None:
        self._ids: dict[str, str] = {}

    def value(self, key: str, value: Any) -> Any:
        """The value as it is compared: (its type, what is left of it)."""
        if isinstance(value, _Pairs):
            return [(name, self.value(name, item)) for name, item in value]
        if isinstance(value, list):
            return self._list(key, value)
        if isinstance(value, str):
            return ("str", self._text(key, value))
        if isinstance(value, int) and _NUMBERS.fullmatch(key) and value > 0:
            return (type(value).__name__, f"<{key}>")
        return (type(value).__name__, value)

    def _text(self, key: str, value: str) -> str:
        form = _FORMS.get(key)
        if form is not None and form.fullmatch(value):
            return f"<{key}>"
        if key in ("id", "item_id", "request_id") and _GENERATED.fullmatch(value):
            kind = re.split("[-_]", value)[0]
            return self._ids.setdefault(value, f"<{kind} {len(self._ids)}>")
        return re.sub(r"sha256-[0-9a-f]{64}", "<blob>", value) if key == "modelfile" else value

    def _list(self, key: str, values: list[Any]) -> Any:
        if key == "context":
            return ("token ids", len(values), {type(value) for value in values})
        if key in ("embedding", "embeddings") and values and not isinstance(values[0], list):
            return ("vector", len(values), {type(value) for value in values})
        rows = [self.value(key if isinstance(value, list) else "", value) for value in values]
        return _newest_first(values, rows) if key in ("models", "data") else rows


def _newest_first(values: list[Any], rows: list[Any]) -> list[Any]:
    """Models come newest first; within a second Ollama's order is that of a map: any."""
    made_at = [_seconds(dict(value)) for value in values if isinstance(value, _Pairs)]
    assert made_at == sorted(made_at, reverse=True), "not newest first"
    return sorted(rows, key=repr) if any(made_at) else rows


def _seconds(model: Mapping[str, Any]) -> str:
    return str(model.get("modified_at") or model.get("created") or "")[:19]
