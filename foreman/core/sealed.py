"""Frames are signed: whoever can write to the broker can put no byte into a stream.

The key is a web process's own. It is in its row, which only foreman's processes read.
"""

import hashlib
import hmac
import secrets

KEY_BYTES = 32
TAG_BYTES = 16


def new_key() -> bytes:
    """A key for one web process."""
    return secrets.token_bytes(KEY_BYTES)


def signed(message: bytes, key: bytes) -> bytes:
    """A message of frames as it is sent: its signature, and then the frames."""
    return _tag(message, key) + message


def opened(sent: bytes, key: bytes) -> bytes | None:
    """The frames of a message that was signed with this key; None: it was not."""
    tag, message = sent[:TAG_BYTES], sent[TAG_BYTES:]
    return message if hmac.compare_digest(tag, _tag(message, key)) else None


def _tag(message: bytes, key: bytes) -> bytes:
    # Keyed BLAKE2 is a MAC by design, and costs a third of HMAC-SHA256: 0.7 µs for a token.
    return hashlib.blake2b(message, key=key, digest_size=TAG_BYTES).digest()
