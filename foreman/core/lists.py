"""The lists of targets: which models one has, and the union of what several say.

Both are read in steps (`reading.answers`). Of a union only the names are looked at: its entries are
the bytes that the targets sent.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from foreman.core.embedding import Listed, listed
from foreman.core.queues import canonical_name
from foreman.core.reading.answers import Place, Reading, built, is_null, items_of, members_of, raw
from foreman.core.reading.scan import Unreadable

_PIECE_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class List:
    """The answer of one target, in the text that it came in."""

    fields: dict[str, bytes] = field(repr=False)  # all besides the list
    entries: Sequence[tuple[str, bytes]] = field(repr=False)  # each with the name in it


def entries_in(answer: bytes) -> Reading[list[dict[str, Any]]]:
    """The models of `/api/tags` or `/api/ps`; Unreadable when it is no list of objects."""
    members = yield from members_of(answer)
    if "models" not in members:
        raise Unreadable("the answer has no models")
    entries = []
    for place in (yield from items_of(answer, members["models"])):
        entry = built(answer, place)
        if not isinstance(entry, dict):
            raise Unreadable("an entry of the list is no object")
        entries.append(entry)
        yield
    return entries


def models_in(answer: bytes) -> Reading[dict[str, Listed]]:
    """The models of `/api/tags` by canonical name; Unreadable when it is no such list."""
    models: dict[str, Listed] = {}
    for entry in (yield from entries_in(answer)):
        if "name" not in entry:
            raise Unreadable("an entry of the list names no model")
        if name := canonical_name(str(entry["name"])):
            models[name] = listed(entry)
    return models


def read_list(answer: bytes, key: str) -> Reading[List]:
    """The list under `key`, which may be missing or null; what in it is no object is dropped."""
    members = yield from members_of(answer)
    place = members.get(key)
    entries: list[tuple[str, bytes]] = []
    for item in (yield from _items(answer, place)):
        entry = built(answer, item)
        if isinstance(entry, dict):
            entries.append((str(entry.get("name") or entry.get("id")), raw(answer, item)))
        yield
    fields = {name: raw(answer, at) for name, at in members.items() if name != key}
    return List(fields, entries)


def union_of(lists: Sequence[List], key: str, *, is_each_once: bool) -> Iterator[bytes]:
    """One list of the entries of several, as JSON in pieces, with the other fields of the first.

    `is_each_once`: of entries with one name the first counts.
    """
    named = [entry for each in lists for entry in each.entries]
    entries = [entry for _, entry in named]
    if is_each_once:
        entries = list(reversed({name: entry for name, entry in reversed(named)}.values()))
    others = [json.dumps(name).encode() + b":" + text for name, text in lists[0].fields.items()]
    yield b"{" + b",".join([*others, json.dumps(key).encode()]) + b":["
    piece = bytearray()
    for number, entry in enumerate(entries):
        piece += b"," + entry if number else entry
        if len(piece) >= _PIECE_BYTES:
            yield bytes(piece)
            piece.clear()
    yield bytes(piece) + b"]}"


def _items(answer: bytes, place: Place | None) -> Reading[list[Place]]:
    if place is None or is_null(answer, place):
        return []
    return (yield from items_of(answer, place))
