"""The two changes of a request's body that an operator may ask for; no other byte is touched.

`num_ctx`: one context size for all requests of a model, so that all share one residency.
`keep_alive`: no unload after a generation while more of its residency waits. Both work on the
places that a reading of the body has found, and return None for a body that stays as it was sent.
"""

import re
from dataclasses import dataclass

from foreman.core.bodies import Look, look
from foreman.core.queues import Residency, residency_of
from foreman.core.reading.tables import KEEP_ALIVE, OPTION, OPTIONS
from foreman.core.reading.values import float_of
from foreman.core.reading.walk import Note, Places
from foreman.core.splice import Splice, Spliced, new_member

# The routes below /v1 read neither; an embedding model's context is its own affair.
RESHAPED = frozenset({"/api/chat", "/api/generate"})

_PIECE_BYTES, _OVERLAP_BYTES = 1024 * 1024, 16
# The other ways to write a letter of `keep_alive`: escaped, or the K as the Kelvin sign.
_ESCAPED = re.compile(rb"\\u(?:00[4-7]|212a)")
_KELVIN = "\N{KELVIN SIGN}".encode()

# Beyond Go's integers a number is an error.
_LEAST_INTEGER = -(2**63)


@dataclass(frozen=True, slots=True)
class Reshaped:
    """A body as it is sent, and what X-Foreman-Changed says of it: "" when nothing changed."""

    body: Spliced
    change: str = ""


def unchanged(body: bytes) -> Reshaped:
    """The body as it came."""
    return Reshaped(Spliced(body))


def with_one_size(body: bytes, endpoint: str, places: Places, *, num_ctx: int | None) -> Reshaped:
    """The body as a target gets it under FOREMAN_NUM_CTX; None is `as-sent`."""
    if num_ctx is None or endpoint not in RESHAPED:
        return unchanged(body)
    changed = with_num_ctx(body, places, num_ctx)
    return unchanged(body) if changed is None else Reshaped(changed, f"num_ctx={num_ctx}")


def residency_for(model: str, look: Look, sent: Reshaped, *, num_ctx: int | None) -> Residency:
    """The residency of a request for the canonical `model`, as it is sent."""
    options = dict(look.runner_options)
    if sent.change:
        options.pop("num_ctx", None)  # it is now the one that all targets give
    return residency_of(model, options, num_ctx=num_ctx)


def unloading(body: bytes, endpoint: str) -> Look | None:
    """The look into a request after whose work the target unloads the model; None for any other.

    Ollama remembers it with the loaded model: it goes when its last run ends, those that came
    later included, unless one of them named a `keep_alive` of its own.
    """
    if endpoint not in RESHAPED or not _may_name_keep_alive(body):
        return None
    found = look(body, endpoint)
    return found if found is not None and found.unloads_after else None


def _may_name_keep_alive(body: bytes) -> bool:
    """A search that costs next to nothing: few bodies name it."""
    for at in range(0, len(body), _PIECE_BYTES):
        piece = body[at : at + _PIECE_BYTES + _OVERLAP_BYTES].lower()
        if b"keep_alive" in piece or _KELVIN in piece or _ESCAPED.search(piece):
            return True
    return False


def kept_loaded(body: bytes, look: Look) -> Reshaped:
    """The body of a native route as a target gets it while more of its residency waits."""
    changed = without_keep_alive(body, look)
    return unchanged(body) if changed is None else Reshaped(changed, "keep_alive")


def with_num_ctx(body: bytes, places: Places, limit: int) -> Spliced | None:
    """The body with `options.num_ctx` = `limit`, where it asks for less or for none."""
    option = b'"num_ctx":%d' % limit
    options = [note for note in places.notes if note.slot == OPTIONS]
    if not options:
        member = b'"options":{%b}' % option
        return _changed(body, new_member(places.start, member, is_empty=places.is_empty))
    if options[-1].first == "n":
        # With others before it they would count again: Ollama joins all that follow a null.
        return _replaced(body, options[0], b"{%b}" % option) if len(options) == 1 else None
    asked = _asked_size(places)
    if asked is None:
        last = options[-1]
        return _changed(body, new_member(last.start, option, is_empty=last.is_empty))
    return _replaced(body, asked, b"%d" % limit) if _is_below(body, asked, limit) else None


def _asked_size(places: Places) -> Note | None:
    """The `num_ctx` that counts: the last one since the last null."""
    asked: Note | None = None
    for note in places.notes:
        if note.slot == OPTION + "num_ctx":
            asked = note
        elif note.slot == OPTIONS and note.first == "n":
            asked = None
    return asked


def _is_below(body: bytes, size: Note, limit: int) -> bool:
    if size.first == "n":
        return True
    # What is no number is an error, in the target's own words.
    return size.first == "0" and _LEAST_INTEGER <= float_of(body[size.start : size.end]) < limit


def without_keep_alive(body: bytes, look: Look) -> Spliced | None:
    """The body with null for the `keep_alive` that would unload the model after its work.

    Null is an absence to Ollama. Cut out instead, an earlier duplicate would take its place.
    """
    if not look.unloads_after:
        return None
    named = [note for note in look.places.notes if note.slot == KEEP_ALIVE]
    return _replaced(body, named[-1], b"null")


def _replaced(body: bytes, note: Note, value: bytes) -> Spliced:
    return _changed(body, Splice(note.start, note.end, value))


def _changed(body: bytes, splice: Splice) -> Spliced:
    return Spliced(body, (splice,))
