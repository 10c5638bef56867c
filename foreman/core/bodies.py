"""Look into a request body as Ollama reads it, and never change it (that is `reshape`).

Ollama's reader is Go's: keys in any case, the last duplicate wins, what follows the first value is
ignored, a null is an absence. A body that cannot be placed gives None: then the target is asked,
so that every error has Ollama's own words.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.parser import BytesHeaderParser

import zstandard

from foreman.core.queues import RUNNER_OPTIONS

# Go's spellings of no time at all.
_ZERO_DURATION = re.compile(r"[-+]?(0|((0+\.?0*|\.0+)(ns|us|µs|μs|ms|s|m|h))+)")  # both micro signs

# The other ways to write a letter of `keep_alive` in a key: escaped, or K as the Kelvin sign.
_MAY_SPELL_KEEP_ALIVE = re.compile(rb"\\u(?:00[4-7]|212[aA])|\xe2\x84\xaa")

# What Ollama itself accepts behind `Content-Encoding: zstd`.
ZSTD_LIMIT_BYTES = 20 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Look:
    """What foreman must know of a generation request to place it."""

    model: str  # as the client wrote it
    streams: bool
    runner_options: Mapping[str, object] = field(default_factory=dict)
    is_unload: bool = False  # needs no slot: the target just lets the model go
    unloads_after: bool = False  # work, behind which the target lets the model go


def look(
    body: bytes,
    *,
    streams_by_default: bool,
    has_options: bool = True,
    content_type: str = "",
    content_encoding: str = "",
) -> Look | None:
    """Return what the body asks for, or None when only a target can say what it is.

    `has_options`: whether the route reads runner options; those of `/v1` do not.
    """
    if content_encoding == "zstd":
        unpacked = _unpack(body)
        if unpacked is None:
            return None
        body = unpacked
    if content_type.lower().startswith("multipart/form-data"):
        model = _form_value(body, content_type, "model")
        return Look(model, streams=False) if model else None
    fields = _first_object(body)
    return None if fields is None else _look_at(fields, streams_by_default, has_options)


def look_at(fields: Mapping[str, object], *, has_options: bool) -> Look | None:
    """`look` for a body that is parsed already."""
    return _look_at({folded(key): item for key, item in fields.items()}, True, has_options)


def without(fields: Mapping[str, object], name: str) -> dict[str, object]:
    """The fields of a body besides those that Ollama reads as `name`."""
    return {key: item for key, item in fields.items() if folded(key) != name}


def named_model(body: bytes) -> str:
    """The model a body names, also by the `name` of older clients; "" when it names none."""
    fields = _first_object(body) or {}
    model = fields.get("model") or fields.get("name")
    return model if isinstance(model, str) else ""


def _look_at(
    fields: Mapping[str, object], streams_by_default: bool, has_options: bool
) -> Look | None:
    model, stream = fields.get("model"), fields.get("stream")
    options = fields.get("options")
    if not isinstance(model, str) or not model.strip():
        return None
    if not (stream is None or isinstance(stream, bool)):
        return None
    if not (options is None or isinstance(options, dict)):
        return None
    runner: dict[str, object] = {
        key: value
        for key, value in (options or {}).items()
        if key in RUNNER_OPTIONS and value is not None
    }
    if isinstance(fields.get("shift"), bool):
        runner["shift"] = fields["shift"]
    return Look(
        model=model,
        streams=streams_by_default if stream is None else stream,
        runner_options=runner if has_options else {},
        is_unload=_lets_go(fields) and not _has_work(fields),
        unloads_after=has_options and _unloads_after(fields),
    )


def asks_unload_after(body: bytes) -> bool:
    """Whether a body of `/api/chat` or `/api/generate` is work behind which the model goes.

    A body that does not name `keep_alive` costs a search; only the others are parsed.
    """
    if b"keep_alive" not in body.lower() and not _MAY_SPELL_KEEP_ALIVE.search(body):
        return False
    fields = _first_object(body)
    return fields is not None and _unloads_after(fields)


def _unloads_after(fields: Mapping[str, object]) -> bool:
    return _lets_go(fields) and _has_work(fields)


def _has_work(fields: Mapping[str, object]) -> bool:
    return bool(fields.get("prompt") or fields.get("messages") or fields.get("input"))


def _lets_go(fields: Mapping[str, object]) -> bool:
    """Whether `keep_alive` is no time at all."""
    keep_alive = fields.get("keep_alive")
    if keep_alive is None or isinstance(keep_alive, bool):
        return False
    if isinstance(keep_alive, str):
        return _ZERO_DURATION.fullmatch(keep_alive) is not None
    return keep_alive == 0


def _first_object(body: bytes) -> dict[str, object] | None:
    """The first JSON value of the body, if it is an object; top-level keys in lower case."""
    text = body.decode("utf-8", errors="replace").lstrip(" \t\r\n")
    try:
        value, _ = _DECODER.raw_decode(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    return {folded(key): item for key, item in value.items()}


def folded(key: str) -> str:
    """A key as Go compares it: by simple folding, in which besides case the long s is an s."""
    return key.lower().replace("\N{LATIN SMALL LETTER LONG S}", "s")


def _fold(pairs: list[tuple[str, object]]) -> dict[str, object]:
    # `dict` keeps a key's first place but its last value; keys that differ in case are kept apart
    # here (a tool's arguments are not ours to fold), in the order in which they came.
    kept: dict[str, object] = {}
    for key, value in pairs:
        kept.pop(key, None)
        kept[key] = value
    return kept


def _no_constant(text: str) -> object:
    raise ValueError(f"{text} is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_fold, parse_constant=_no_constant)


def _unpack(body: bytes) -> bytes | None:
    try:
        with zstandard.ZstdDecompressor().stream_reader(body, read_across_frames=True) as reader:
            unpacked = reader.read(ZSTD_LIMIT_BYTES + 1)
    except zstandard.ZstdError:
        return None
    return unpacked if len(unpacked) <= ZSTD_LIMIT_BYTES else None


def _form_value(body: bytes, content_type: str, name: str) -> str | None:
    """The text field `name` of a multipart form; files are skipped without a copy of them."""
    boundary = _headers(f"Content-Type: {content_type}".encode()).get_boundary()
    if not boundary:
        return None
    marker = b"--" + boundary.encode()
    start = body.find(marker)
    while start >= 0:
        head_end = body.find(b"\r\n\r\n", start)
        following = body.find(b"\r\n" + marker, start)
        if head_end < 0 or following < 0:
            return None
        headers = _headers(body[start + len(marker) + 2 : head_end])
        if headers.get_param("name", header="content-disposition") == name:
            return body[head_end + 4 : following].decode("utf-8", errors="replace").strip()
        start = following + 2
    return None


_headers = BytesHeaderParser().parsebytes
