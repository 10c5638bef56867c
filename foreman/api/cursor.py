"""Where a page of rows ended, as text that callers hand back and need not understand."""

import base64
from datetime import datetime
from uuid import UUID

from foreman.refusals import Unprocessable


def write(created_at: datetime, row_id: UUID) -> str:
    text = f"{created_at.isoformat()} {row_id}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read(text: str) -> tuple[datetime, UUID]:
    """What `write` was given; Unprocessable for anything else."""
    try:
        padded = text.encode() + b"=" * (-len(text) % 4)
        at, _, row_id = base64.urlsafe_b64decode(padded).decode().partition(" ")
        created_at = datetime.fromisoformat(at)
        if created_at.tzinfo is None:
            raise ValueError("no time zone")
        return created_at, UUID(row_id)
    except (ValueError, OverflowError) as exc:
        raise Unprocessable("is not the `next` of a page", field="after") from exc
