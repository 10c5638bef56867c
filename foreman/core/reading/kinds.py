"""The types of Ollama's request structs, as far as JSON can be wrong for them.

A null fits every type: it leaves a string, a number, a bool and a struct as they are, and empties
a pointer, a slice and a map.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

NUMBER, BOOL = "0", "tf"  # in `accepts`; the others are the first characters of the values


class Numbers(Enum):
    """What a number must fit."""

    FLOAT64 = "float64"
    FLOAT32 = "float32"
    INT64 = "int64"
    BYTE = "byte"


class Text(Enum):
    """What a string must be."""

    ANY = "any"
    BASE64 = "base64"
    THINK = "think"


def folded(key: str) -> str:
    """A key as Go compares it: by simple case folding, which also makes the long s an s."""
    return key.lower().replace("\N{LATIN SMALL LETTER LONG S}", "s")


@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """A Go type: which values it accepts, and of which types their parts are."""

    accepts: str  # of `"`, `0`, `t`, `f`, `[` and `{`
    numbers: Numbers = Numbers.FLOAT64
    text: Text = Text.ANY
    items: "Kind | None" = None  # of an array; None: its parts are not looked at
    fields: Mapping[str, "Kind"] = field(default_factory=dict)  # by name
    folds: Mapping[str, "Kind"] = field(
        default_factory=dict
    )  # of a struct: the same, by folded name
    values: "Kind | None" = None  # of a map: of all fields that `fields` does not name
    is_ordered: bool = False  # a map whose reader takes no key that is not UTF-8
    required: str = ""  # the field that a struct cannot do without
    is_raw: bool = False  # kept as it is written: any number will do
    slot: str = ""  # the name under which foreman notes the value


def slot(kind: Kind, name: str) -> Kind:
    """The same type, of a value that foreman needs."""
    return replace(kind, slot=name)


def array(items: Kind) -> Kind:
    return Kind("[", items=items)


def struct(**fields: Kind) -> Kind:
    """A struct: its keys are read in any case, and what it does not name is skipped."""
    folds = {folded(name): kind for name, kind in fields.items()}
    return Kind("{", fields=fields, folds=folds, values=RAW)


def struct_with(required: str, **fields: Kind) -> Kind:
    """A struct whose reader fails without this field, and for a null."""
    return replace(struct(**fields), required=required)


def map_of(values: Kind, **fields: Kind) -> Kind:
    """A map: its keys have one spelling."""
    return Kind("{", fields=fields, values=values)


def ordered_map_of(values: Kind) -> Kind:
    return Kind("{", values=values, is_ordered=True)


RAW = Kind('"0tf[{', is_raw=True)
ANY = Kind('"0tf[{')
STRING = Kind('"')
BOOLEAN = Kind(BOOL)
INTEGER = Kind(NUMBER, numbers=Numbers.INT64)
FLOAT = Kind(NUMBER)
FLOAT32 = Kind(NUMBER, numbers=Numbers.FLOAT32)
BYTES = Kind('"[', text=Text.BASE64, items=Kind(NUMBER, numbers=Numbers.BYTE))
STRINGS = array(STRING)
STRING_OR_STRINGS = Kind('"[', items=STRING)
THINK = Kind('"tf', text=Text.THINK)
