"""Targets hold several residents: what is loaded, what was learned of their room, loads by visits.

Workers and web processes of the version before may run next to those of this one while they are
replaced. So the columns for one resident (`targets.resident_queue`, `resident_since` and
`loading_queue`, `swaps.from_queue`, `fifo_swaps` and `saved_s`) stay, and nothing of this version
reads or writes them; a later migration drops them. What the old processes write there meanwhile is
not seen in `residents`: for so long `/queues` may name a resident that has gone. A worker that
takes over a target asks it for what it has loaded before it relies on any row.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "residents",
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("queue", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=True),
        sa.Column("size_bytes", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("is_pinned", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column(
            "since", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column("is_loading", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.PrimaryKeyConstraint("target", "queue"),
    )
    op.add_column(
        "targets",
        sa.Column(
            "room",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'"),
            nullable=False,
        ),
    )
    # None: a line of the version before, which has one queue in `from_queue`, or none.
    op.add_column(
        "swaps", sa.Column("unloaded", postgresql.JSONB(astext_type=sa.Text()), nullable=True)
    )
    op.add_column(
        "swaps", sa.Column("lingers", sa.Integer(), server_default=sa.text("0"), nullable=False)
    )
    op.add_column(
        "swaps",
        sa.Column("lingers_answered", sa.Integer(), server_default=sa.text("0"), nullable=False),
    )
    op.add_column(
        "swaps",
        sa.Column("linger_wasted_s", sa.Double(), server_default=sa.text("0"), nullable=False),
    )
    _copy_residents()


def _copy_residents() -> None:
    op.execute(
        "INSERT INTO residents (target, queue, model, since)"
        " SELECT t.name, t.resident_queue, c.model, coalesce(t.resident_since, now())"
        " FROM targets t JOIN residency_costs c"
        " ON c.target = t.name AND c.queue = t.resident_queue"
    )
    op.execute(
        "INSERT INTO residents (target, queue, is_loading)"
        " SELECT name, loading_queue, true FROM targets WHERE loading_queue IS NOT NULL"
        " ON CONFLICT (target, queue) DO UPDATE SET is_loading = true"
    )


def downgrade() -> None:
    op.drop_column("swaps", "linger_wasted_s")
    op.drop_column("swaps", "lingers_answered")
    op.drop_column("swaps", "lingers")
    op.drop_column("swaps", "unloaded")
    op.drop_column("targets", "room")
    op.drop_table("residents")
