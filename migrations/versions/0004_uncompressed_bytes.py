"""Bytes that are read by ranges are stored without compression.

To find a range of a compressed value PostgreSQL unpacks everything in front of it: reading a value
piece by piece took time with the square of its size. What is stored already stays as it is.
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

COLUMNS = (("artifacts", "body"), ("payloads", "body"))


def upgrade() -> None:
    _store("EXTERNAL")


def downgrade() -> None:
    _store("EXTENDED")


def _store(how: str) -> None:
    # No row is rewritten: the table is locked for a moment, at most env.py's limits.
    for table, column in COLUMNS:
        op.execute(f"ALTER TABLE {table} ALTER COLUMN {column} SET STORAGE {how}")
