"""What changes the models on the disk: pull, push, create, copy, delete, blobs."""

import hashlib
import re
from collections.abc import Iterator

from foreman.simulation.connection import Exchange
from foreman.simulation.decode import Fields, Refused, read_fields
from foreman.simulation.engine import Engine
from foreman.simulation.library import Model
from foreman.simulation.names import Name, parse_name
from foreman.simulation.wire import go_json, quote

_DIGEST = re.compile(r"sha256[:-]([0-9a-fA-F]{64})\Z")
# A pull tells how far it is in so many steps.
_STEPS = 4


class Blobs:
    """Digests and sizes of uploaded blobs; the bytes themselves are of no use."""

    def __init__(self) -> None:
        self._sizes: dict[str, int] = {}

    def head(self, engine: Engine, exchange: Exchange, digest: str) -> None:
        known = _digest(digest) in self._sizes
        if not known:
            raise Refused(404, f"blob {quote(digest)} not found")
        exchange.reply(200)

    def upload(self, engine: Engine, exchange: Exchange, digest: str) -> None:
        """Read the body in pieces; it may be larger than the memory."""
        wanted = _digest(digest)
        if wanted in self._sizes:
            return exchange.reply(200)
        found, size_bytes = hashlib.sha256(), 0
        for piece in exchange.pieces():
            found.update(piece)
            size_bytes += len(piece)
        if found.hexdigest() != wanted:
            raise Refused(400, f"digest mismatch, expected {quote(digest)}")
        self._sizes[wanted] = size_bytes
        exchange.reply(201)


def _digest(text: str) -> str:
    match = _DIGEST.match(text)
    if not match:
        raise Refused(400, "invalid digest format")
    return match[1].lower()


def copy(engine: Engine, exchange: Exchange) -> None:
    fields = _read(exchange, "api.CopyRequest")
    source, destination = fields.get("source", ""), parse_name(fields.get("destination", ""))
    for label, name in (("source", parse_name(source)), ("destination", destination)):
        if not name.is_valid:
            raise Refused(400, f"{label} {quote(fields.get(label, ''))} is invalid")
    model = engine.library.find(source)
    if model is None:
        raise Refused(404, f"model {quote(source)} not found")
    engine.library.copy(model, destination)
    exchange.reply(200)


def delete(engine: Engine, exchange: Exchange) -> None:
    wanted, name = _named(_read(exchange, "api.DeleteRequest"))
    if not name.is_valid:
        raise Refused(400, f"name {quote(wanted)} is invalid")
    model = engine.library.find(wanted)
    if model is None:
        raise Refused(404, f"model '{wanted}' not found")
    engine.library.delete(model)
    exchange.reply(200)


def pull(engine: Engine, exchange: Exchange) -> None:
    fields = _read(exchange, "api.PullRequest")
    _, name = _named(fields)
    if not name.is_valid:
        raise Refused(400, "invalid model name")

    def lines() -> Iterator[Fields]:
        yield {"status": "pulling manifest"}
        yield from _progress("pulling", hashlib.sha256(name.key.encode()).hexdigest())
        yield {"status": "verifying sha256 digest"}
        yield {"status": "writing manifest"}
        engine.library.make(name, engine.library.find(name.full))

    _tell(exchange, fields, lines())


def push(engine: Engine, exchange: Exchange) -> None:
    fields = _read(exchange, "api.PushRequest")
    wanted, _ = _named(fields)
    if not wanted:
        raise Refused(400, "model is required")
    model = engine.library.find(wanted)

    def lines(model: Model) -> Iterator[Fields]:
        yield {"status": "retrieving manifest"}
        yield from _progress("pushing", model.digest)
        yield {"status": "pushing manifest"}

    if model is None:
        raise Refused(404, f"model '{wanted}' not found")
    _tell(exchange, fields, lines(model))


def create(engine: Engine, exchange: Exchange) -> None:
    fields = _read(exchange, "api.CreateRequest")
    _, name = _named(fields)
    if not name.is_valid:
        raise Refused(400, "invalid model name")
    if not fields.get("from") and not fields.get("files"):
        raise Refused(400, "neither 'from' or 'files' was specified")
    base = engine.library.find(fields["from"]) if fields.get("from") else None

    def lines() -> Iterator[Fields]:
        yield {"status": "reading model metadata"}
        yield {"status": "creating system layer"}
        yield {"status": "writing manifest"}
        engine.library.make(name, base)

    _tell(exchange, fields, lines())


def _read(exchange: Exchange, struct: str) -> Fields:
    types = {"model": "string", "name": "string", "stream": "bool", "source": "string"}
    types |= {"destination": "string", "from": "string"}
    return read_fields(exchange.body(), struct=struct, types=types, empty="missing request body")


def _named(fields: Fields) -> tuple[str, Name]:
    wanted = fields.get("model") or fields.get("name") or ""
    return wanted, parse_name(wanted)


def _progress(verb: str, digest: str) -> Iterator[Fields]:
    total = 1728600
    for step in range(_STEPS + 1):
        status = f"{verb} {digest[:12]}"
        line: Fields = {"status": status, "digest": f"sha256:{digest}", "total": total}
        done = total * step // _STEPS
        yield {**line, "completed": done} if done else line


def _tell(exchange: Exchange, fields: Fields, lines: Iterator[Fields]) -> None:
    """Stream the lines and a last "success"; or do it all and say only that."""
    success = {"status": "success"}
    if fields.get("stream", True):
        exchange.begin("application/x-ndjson")
        for line in lines:
            exchange.chunk(go_json(line) + b"\n")
        exchange.chunk(go_json(success) + b"\n")
        return exchange.end()
    for _ in lines:
        pass
    exchange.reply(200, go_json(success), "application/json")
