"""The values of `options`, as Ollama reads them: by the type of each, or an error."""

import re
from collections.abc import Mapping

from foreman.core.queues import RUNNER_OPTIONS
from foreman.core.reading.scan import Unreadable
from foreman.core.reading.tables import (
    BOOLEAN_OPTIONS,
    FLOAT_OPTIONS,
    INTEGER_OPTIONS,
    STRINGS_OPTIONS,
)
from foreman.core.reading.values import float_of
from foreman.errors import RequestRefused

_STRINGS = re.compile(rb'\[(?>(?:[ \t\n\r,]|"(?>(?:[^"\\]|\\.)*)")*)\]')
_BEYOND_INTEGERS = 2.0**63


def option_values(given: Mapping[str, tuple[str, bytes]]) -> dict[str, object]:
    """The values of options, by the first character and the text of each.

    Unreadable where Ollama would say that one is of the wrong type. Ollama makes any integer of a
    number that none can hold. A runner option like that would be a residency by chance: foreman
    refuses it.
    """
    values = {name: _value(name, first, raw) for name, (first, raw) in given.items()}
    for name in INTEGER_OPTIONS.intersection(values):
        number = values[name]
        if isinstance(number, float):
            is_integer = -_BEYOND_INTEGERS <= number < _BEYOND_INTEGERS
            if not is_integer and name in RUNNER_OPTIONS:
                raise RequestRefused(f'option "{name}" is out of range')
            values[name] = int(number) if is_integer else number  # Ollama cuts off a fraction
    return values


def _value(name: str, first: str, raw: bytes) -> object:
    if name in BOOLEAN_OPTIONS and first in "tf":
        return first == "t"
    if name in INTEGER_OPTIONS | FLOAT_OPTIONS and first == "0":
        return float_of(raw)
    if name in STRINGS_OPTIONS and _STRINGS.fullmatch(raw):
        return raw
    raise Unreadable(f'option "{name}" has a type that Ollama does not accept', field="options")
