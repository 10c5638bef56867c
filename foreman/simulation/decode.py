"""How Ollama reads a request body: Go's JSON decoder, its leniency and its words for an error.

Keys in any case, the last duplicate wins, null is an absence, what follows the first value is
ignored, the Content-Type is not looked at.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any

Fields = dict[str, Any]


class Refused(Exception):
    """The server answers `status` in its own words: an answer, not a failure of the simulation."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


# Go's names of what a field may be, for "cannot unmarshal … of type …".
_GO_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "bool": (bool,),
    "int": (int,),
    "float64": (int, float),
    "[]api.Message": (list,),
    "api.Tools": (list,),
    "map[string]interface {}": (dict,),
    "[]openai.Message": (list,),
    "[]anthropic.MessageParam": (list,),
    "openai.StreamOptions": (dict,),
    "openai.Reasoning": (dict,),
    "openai.ResponseFormat": (dict,),
    "openai.ResponsesText": (dict,),
    "anthropic.ThinkingConfig": (dict,),
}


def read_fields(body: bytes, *, struct: str, types: Mapping[str, str], empty: str) -> Fields:
    """The fields of the first JSON object; `empty` is what the route says to no body at all."""
    text = body.decode("utf-8", "replace").lstrip(" \t\r\n")
    if not text:
        raise Refused(400, empty)
    try:
        value, _ = _DECODER.raw_decode(text)
    except json.JSONDecodeError as exc:
        raise Refused(400, _go_syntax_error(exc)) from exc
    except RecursionError as exc:
        raise Refused(400, "exceeded max depth") from exc
    if "\\ud" in text.lower():
        value = _without_lone_surrogates(value)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Refused(400, f"json: cannot unmarshal {_kind(value)} into Go value of type {struct}")
    fields = folded(value)
    for key, go_type in types.items():
        where = f"Go struct field {struct.rpartition('.')[2]}.{key}"
        _check(fields.get(key), where, go_type)
    return fields


def _without_lone_surrogates(value: Any) -> Any:
    """Half of a surrogate pair is U+FFFD to Go."""
    text = json.dumps(value, ensure_ascii=False)
    return json.loads(text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace"))


def folded(value: Mapping[str, Any]) -> Fields:
    """A Go struct's view of an object: keys in lower case, nulls left out, the last one wins."""
    return {key.lower(): item for key, item in value.items() if item is not None}


def image_bytes(text: object) -> bytes:
    """Decode one image of a request; Go names the byte at which base64 ends."""
    try:
        return base64.b64decode(text if isinstance(text, str) else "*", validate=True)
    except (binascii.Error, ValueError) as exc:
        legal = str(text).rstrip("=")
        at = next((i for i, char in enumerate(legal) if not _is_base64(char)), len(legal))
        raise Refused(400, f"illegal base64 data at input byte {at}") from exc


def _is_base64(char: str) -> bool:
    return char.isascii() and (char.isalnum() or char in "+/")


def _check(value: object, where: str, go_type: str) -> None:
    if value is None:
        return
    is_number_for_bool = isinstance(value, bool) and go_type != "bool"
    if is_number_for_bool or not isinstance(value, _GO_TYPES[go_type]):
        raise Refused(400, f"json: cannot unmarshal {_kind(value)} into {where} of type {go_type}")


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "bool"
    kinds = {str: "string", int: "number", float: "number", list: "array", dict: "object"}
    return kinds.get(type(value), "value")


def _no_constant(name: str) -> object:
    raise json.JSONDecodeError("Expecting value", name, 0)


def _last_wins(pairs: list[tuple[str, Any]]) -> Fields:
    # A key's last place counts, so that keys that differ in case are folded in the right order.
    fields: Fields = {}
    for key, value in pairs:
        fields.pop(key, None)
        fields[key] = value
    return fields


_DECODER = json.JSONDecoder(object_pairs_hook=_last_wins, parse_constant=_no_constant)

_GO_WORDS = {
    "Expecting property name": "looking for beginning of object key string",
    "Expecting ':'": "after object key",
    "Expecting value": "looking for beginning of value",
    "Invalid control character": "in string literal",
    "Invalid \\escape": "in string escape code",
    "Invalid \\uXXXX": "in \\u hexadecimal character escape",
    "Illegal trailing comma": "looking for beginning of object key string",
}


def _go_syntax_error(error: json.JSONDecodeError) -> str:
    position = error.pos + (1 if error.msg.startswith("Invalid \\") else 0)
    if position >= len(error.doc) or error.msg.startswith("Unterminated"):
        return "unexpected EOF"
    words = next((go for py, go in _GO_WORDS.items() if error.msg.startswith(py)), None)
    if words is None:
        in_array = _open_brackets(error.doc[:position])[-1:] == "["
        words = "after array element" if in_array else "after object key:value pair"
    return f"invalid character {_go_char(error.doc[position])} {words}"


def _go_char(char: str) -> str:
    return {"'": "'\\''", '"': "'\"'", "\n": "'\\n'", "\t": "'\\t'"}.get(char, f"'{char}'")


def _open_brackets(text: str) -> str:
    """The brackets still open at the end of `text`, outermost first; strings are skipped."""
    open_, in_string, skip = "", False, False
    for char in text:
        if skip:
            skip = False
        elif in_string:
            skip, in_string = char == "\\", char != '"'
        elif char == '"':
            in_string = True
        elif char in "[{":
            open_ += char
        elif char in "]}":
            open_ = open_[:-1]
    return open_
