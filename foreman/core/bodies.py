"""What foreman must know of a request body to place it, read as Ollama reads it.

One walk (`reading`) by the type of the route; nothing is changed here (that is `reshape`). What
Ollama would not accept is `Unreadable`: then the target is asked, so that every error has Ollama's
own words.
"""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from foreman.core.queues import RUNNER_OPTIONS
from foreman.core.reading import packed, tables
from foreman.core.reading.form import form_value
from foreman.core.reading.kinds import Kind
from foreman.core.reading.options import option_values
from foreman.core.reading.scan import NotJson, Unreadable
from foreman.core.reading.values import duration_of, text_of
from foreman.core.reading.walk import Note, Places, Walk
from foreman.core.steps import finished
from foreman.errors import BodyTooComplex

T = TypeVar("T")
Reading = Generator[None, None, T]  # a step of bounded work at a time

# Of a value that is read; one that is skipped may be of any size.
VALUE_LIMIT_BYTES = 64 * 1024

# The `service_tier` that foreman knows, and how long it is with every letter escaped.
_FLEX = "flex"
_FLEX_LIMIT_BYTES = len('""') + len(_FLEX) * len("\\u0000")

TRANSCRIPTIONS = "/v1/audio/transcriptions"
# Both packages of Ollama that read a packed body do it for these routes.
_PACKED = frozenset(
    {
        "/v1/chat/completions",
        "/v1/completions",
        "/v1/embeddings",
        "/v1/responses",
        "/v1/messages",
    }
)
# These stream unless they are asked not to, and unload a model where there is nothing to do.
_NATIVE = frozenset({"/api/generate", "/api/chat"})


@dataclass(frozen=True, slots=True)
class Look:
    """What foreman must know of a generation request to place it."""

    model: str  # as the client wrote it
    streams: bool
    runner_options: Mapping[str, object] = field(default_factory=dict)
    is_unload: bool = False  # needs no slot: the target just unloads the model
    unloads_after: bool = False  # work, after which the target unloads the model
    is_flex: bool = False  # its `service_tier` says that it may wait
    # In a body that is not packed: see `reshape`.
    places: Places = field(default_factory=Places, compare=False, repr=False)


def read(
    body: bytes,
    endpoint: str,
    *,
    content_type: str = "",
    content_encoding: str = "",
    query: str = "",
) -> Reading[Look]:
    """Look into the body of a route; Unreadable when Ollama would not accept it.

    BodyTooComplex is foreman's own limit: such a body is not sent anywhere.
    """
    if endpoint == TRANSCRIPTIONS:
        model = yield from form_value(body, content_type, query, "model")
        if not model.strip():
            raise Unreadable("the form names no model")
        return Look(model, streams=False)
    # Elsewhere below /v1, and on all of /api, Ollama does not look at either header.
    if _is_packed(endpoint, content_encoding):
        body = yield from packed.unpacked(body)
    places = yield from find_places(body, tables.TABLES[endpoint])
    return _looked(body, places, endpoint)


def size_to_read(body: bytes, endpoint: str, *, content_encoding: str, small_bytes: int) -> int:
    """How large a body is to whoever reads it; a packed one above `small_bytes` is the largest."""
    if not _is_packed(endpoint, content_encoding) or packed.is_small(body, small_bytes):
        return len(body)
    return packed.SIZE_LIMIT_BYTES


def _is_packed(endpoint: str, content_encoding: str) -> bool:
    return content_encoding == "zstd" and endpoint in _PACKED


def look(body: bytes, endpoint: str, **headers: str) -> Look | None:
    """`read` at once; None when Ollama would not accept the body."""
    try:
        return finished(read(body, endpoint, **headers))
    except Unreadable:
        return None


def named_model(body: bytes) -> Reading[str]:
    """The model that a body of /api/show names, also by `name` as older clients do; or ""."""
    try:
        places = yield from find_places(body, tables.SHOW)
    except Unreadable:
        return ""
    notes = _Notes(body, places.notes)
    return notes.text(tables.MODEL) or notes.text(tables.NAME)


def find_places(body: bytes, table: Kind) -> Reading[Places]:
    """Where the values of an object are that foreman needs; Unreadable when it is not this kind."""
    walk = Walk(body)
    try:
        yield from walk.run(table)
    except Unreadable as exc:
        exc.field = exc.field or walk.field
        raise
    if not body.startswith(b"{", walk.start):  # a null is no error to Go, but no request either
        raise NotJson("the body is not an object")
    return Places(walk.start, walk.is_empty, tuple(walk.notes))


def _looked(body: bytes, places: Places, endpoint: str) -> Look:
    notes = _Notes(body, places.notes)
    keep_alive = notes.keep_alive()
    model = notes.text(tables.MODEL)
    if not model.strip():
        raise Unreadable("the request names no model", field="model")
    options = notes.options()
    shift = notes.flag(tables.SHIFT)
    if shift is not None:
        options["shift"] = shift
    streams = notes.streams()
    # Without work an embedding still loads its model, and a generation unloads it.
    is_unload = endpoint in _NATIVE and keep_alive == 0 and not notes.has_work()
    return Look(
        model=model,
        streams=endpoint in _NATIVE if streams is None else streams,
        runner_options=options,
        is_unload=is_unload,
        unloads_after=keep_alive == 0 and not is_unload,
        is_flex=notes.is_flex(),
        places=places,
    )


class _Notes:
    """The values that a walk has noted, and which of them count in the end."""

    def __init__(self, body: bytes, notes: Sequence[Note]) -> None:
        self._body = body
        self._notes = notes

    def text(self, slot: str) -> str:
        """A string: a null leaves what came before."""
        last = self._last(slot, is_pointer=False)
        return "" if last is None else text_of(self._raw(last))

    def flag(self, slot: str) -> bool | None:
        last = self._last(slot)
        return None if last is None else last.first == "t"

    def streams(self) -> bool | None:
        plain = self._last(tables.PLAIN_STREAM, is_pointer=False)
        return self.flag(tables.STREAM) if plain is None else plain.first == "t"

    def keep_alive(self) -> int | None:
        """In nanoseconds; each one must be readable, not only the last."""
        value: int | None = None
        for note in self._all(tables.KEEP_ALIVE):
            try:
                value = None if note.first == "n" else duration_of(self._raw(note))
            except ValueError as exc:
                raise Unreadable(f"keep_alive: {exc}", field="keep_alive") from exc
        return value

    def has_work(self) -> bool:
        prompt = self._last(tables.PROMPT, is_pointer=False)
        messages = self._last(tables.MESSAGES)
        return any(note is not None and not note.is_empty for note in (prompt, messages))

    def is_flex(self) -> bool:
        """Whether the last `service_tier` is "flex"; what else it may be is never an error."""
        last = self._last(tables.SERVICE_TIER)
        if last is None or last.first != '"' or last.end - last.start > _FLEX_LIMIT_BYTES:
            return False
        return text_of(self._raw(last)) == _FLEX

    def options(self) -> dict[str, object]:
        """The runner options. Go merges all objects of `options` that follow the last null."""
        merged: dict[str, Note] = {}
        for note in self._notes:
            if note.slot == tables.OPTIONS and note.first == "n":
                merged.clear()
            elif note.slot.startswith(tables.OPTION):
                merged[note.slot.removeprefix(tables.OPTION)] = note
        given = {
            name: (note.first, self._raw(note))
            for name, note in merged.items()
            if note.first != "n"
        }
        values = option_values(given)
        return {name: value for name, value in values.items() if name in RUNNER_OPTIONS}

    def _all(self, slot: str) -> list[Note]:
        return [note for note in self._notes if note.slot == slot]

    def _last(self, slot: str, *, is_pointer: bool = True) -> Note | None:
        """The one that counts; a null empties a pointer, and leaves anything else as it was."""
        found = [note for note in self._all(slot) if is_pointer or note.first != "n"]
        return found[-1] if found and found[-1].first != "n" else None

    def _raw(self, note: Note) -> bytes:
        if note.end - note.start > VALUE_LIMIT_BYTES:
            words = f"the value of {note.slot} has more than {VALUE_LIMIT_BYTES} bytes"
            raise BodyTooComplex(words)
        return self._body[note.start : note.end]
