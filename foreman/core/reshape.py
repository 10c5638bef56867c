"""The two changes of a request's body that an operator may ask for; no other byte is touched.

`num_ctx`: one context size for all requests of a model, so that all share one residency.
`keep_alive`: no unload behind a generation while more of its residency waits. Each returns None
for a body that stays as it was sent, and that is every body that is not read with certainty.
"""

from dataclasses import dataclass, field

from foreman.core.bodies import asks_unload_after, folded
from foreman.core.spans import Member, after_space, members, value_at

# The routes below /v1 read neither; an embedding model's context is its own affair.
_RESHAPED = frozenset({"/api/chat", "/api/generate"})

# Beyond Go's integers a number is an error, and the target is to say so.
_LEAST_INTEGER = -(2**63)


@dataclass(frozen=True, slots=True)
class Reshaped:
    """A body as it is sent, and what X-Foreman-Changed says of it: "" when nothing changed."""

    body: bytes = field(repr=False)
    change: str = ""


def with_one_size(body: bytes, endpoint: str, *, num_ctx: int | None) -> Reshaped:
    """The body as a target gets it under FOREMAN_NUM_CTX; None is `as-sent`."""
    if num_ctx is None or endpoint not in _RESHAPED:
        return Reshaped(body)
    changed = with_num_ctx(body, num_ctx)
    return Reshaped(body) if changed is None else Reshaped(changed, f"num_ctx={num_ctx}")


def kept_loaded(body: bytes, endpoint: str) -> Reshaped:
    """The body as a target gets it while more of its residency waits."""
    changed = without_keep_alive(body) if endpoint in _RESHAPED else None
    return Reshaped(body) if changed is None else Reshaped(changed, "keep_alive")


def unloads_after(body: bytes, endpoint: str) -> bool:
    """Whether this request, sent as it is, lets the target unload the model behind it.

    Ollama remembers it with the loaded model: it goes when its last run ends, those that came
    later included, unless one of them named a `keep_alive` of its own.
    """
    return endpoint in _RESHAPED and asks_unload_after(body)


def with_num_ctx(body: bytes, limit: int) -> bytes | None:
    """The body with `options.num_ctx` = `limit`, where it asks for less or for none."""
    text = body.decode("latin-1")
    option = f'"num_ctx":{limit}'
    try:
        options = [each for each in members(text) if folded(each.key) == "options"]
        if not options:
            return _inserted(text, after_space(text, 0), f'"options":{{{option}}}')
        if text.startswith("null", options[-1].start):
            # With others before it they would count again: Ollama joins all that follow a null.
            return _replaced(text, options[0], f"{{{option}}}") if len(options) == 1 else None
        asked = _asked_size(text, options)
        if asked is None:
            return _inserted(text, options[-1].start, option)
        return _replaced(text, asked, str(limit)) if _is_below(text, asked, limit) else None
    except (ValueError, RecursionError):
        return None


def _asked_size(text: str, options: list[Member]) -> Member | None:
    """The `num_ctx` that counts: the last one. The names of options have one spelling."""
    asked: Member | None = None
    for each in options:
        if text.startswith("null", each.start):
            asked = None
        else:
            found = [size for size in members(text, each.start) if size.key == "num_ctx"]
            asked = found[-1] if found else asked
    return asked


def _is_below(text: str, size: Member, limit: int) -> bool:
    value = value_at(text, size.start, size.end)
    if value is None:
        return True
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False  # an error, in the target's own words
    return _LEAST_INTEGER <= value <= limit and value != limit


def without_keep_alive(body: bytes) -> bytes | None:
    """The body with null for the `keep_alive` that would unload the model behind its work.

    Null is an absence to Ollama. Cut out instead, an earlier duplicate would take its place.
    """
    if not asks_unload_after(body):
        return None
    text = body.decode("latin-1")
    try:
        named = [each for each in members(text) if folded(each.key) == "keep_alive"]
    except (ValueError, RecursionError):
        return None
    return _replaced(text, named[-1], "null")


def _replaced(text: str, member: Member, value: str) -> bytes:
    return (text[: member.start] + value + text[member.end :]).encode("latin-1")


def _inserted(text: str, brace: int, member: str) -> bytes:
    """The text with one more member, the first of the object that begins at `brace`."""
    is_empty = text.startswith("}", after_space(text, brace + 1))
    comma = "" if is_empty else ","
    return (text[: brace + 1] + member + comma + text[brace + 1 :]).encode("latin-1")
