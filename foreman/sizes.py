"""Parsers of settings that are sizes: a number of bytes, or one with a unit."""

import re
from collections.abc import Mapping

MIB = 1024 * 1024
_SIZE_UNITS = {
    "": 1,
    "k": 1024,
    "kib": 1024,
    "m": MIB,
    "mib": MIB,
    "g": 1024 * MIB,
    "gib": 1024 * MIB,
}
# Memory is sold by the GB, and written as GiB.
_MEMORY_UNITS = {
    **{unit: size for unit, size in _SIZE_UNITS.items() if size >= MIB},
    "mb": 1000**2,
    "gb": 1000**3,
    "tb": 1000**4,
    "tib": 1024 * 1024 * MIB,
}


def size_bytes(text: str) -> int:
    return _size(text, _SIZE_UNITS, "8388608 or 8MiB")


def memory_bytes(text: str) -> int:
    """The memory of a target: `48GiB`, or `24GB` of a thousand MB each."""
    return _size(text, _MEMORY_UNITS, "48GiB or 24GB")


def _size(text: str, units: Mapping[str, int], example: str) -> int:
    match = re.fullmatch(r"(\d+)\s*([a-z]*)", text.strip().lower())
    if not match or match[2] not in units or int(match[1]) == 0:
        raise ValueError(f"must be a size such as {example}")
    return int(match[1]) * units[match[2]]
