"""What two requests must share to be the same one: for a caller that sends one again.

The order of keys and white space do not matter in a short request. A long one, or one that Python
reads otherwise than Go, is the same only byte by byte: that costs no more than its size.
"""

import hashlib
import json
from collections.abc import Generator, Mapping
from uuid import UUID

SHORT_BYTES = 64 * 1024
_PIECE_BYTES = 256 * 1024


def fingerprint(request: bytes, asked: Mapping[str, object]) -> Generator[None, None, bytes]:
    """SHA-256 of a request and of what else was asked for."""
    if len(request) <= SHORT_BYTES:
        try:
            return _of_values({**asked, "request": json.loads(request)})
        except (ValueError, RecursionError):
            pass  # a number or a text that Python's JSON does not write
    digest = hashlib.sha256()
    for at in range(0, len(request), _PIECE_BYTES):
        digest.update(request[at : at + _PIECE_BYTES])
        yield
    return _of_values({**asked, "request": digest.hexdigest()})


def fingerprint_of_retry(job_id: UUID) -> bytes:
    """The same of a call that tries a job again."""
    return _of_values({"retry_of": str(job_id)})


def _of_values(asked: Mapping[str, object]) -> bytes:
    text = json.dumps(
        asked, allow_nan=False, ensure_ascii=False, sort_keys=True, separators=(",", ":")
    )
    return hashlib.sha256(text.encode()).digest()
