"""Identifiers: UUIDv7 (RFC 9562), so that ids sort by the time they were made."""

import secrets
import time
from uuid import UUID


def new_id() -> UUID:
    """A fresh UUIDv7: 48 bits of milliseconds, then 74 random bits."""
    millis = time.time_ns() // 1_000_000
    value = (millis & (1 << 48) - 1) << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76  # version
    value = value & ~(0b11 << 62) | 0b10 << 62  # variant
    return UUID(int=value)


def parse_id(text: str) -> UUID | None:
    """The id that `text` spells, or None."""
    try:
        return UUID(text)
    except ValueError:
        return None
