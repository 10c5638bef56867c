"""The Celery queues that removed jobs had, so that the broker's own can be removed after them.

Those of jobs that were removed before are known by their residencies alone.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "old_queues",
        sa.Column("queue", sa.Text(), nullable=False),
        sa.Column("job_class", sa.Text(), nullable=False),
        sa.Column("pinned_target", sa.Text(), nullable=False),
        sa.Column(
            "noted_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.PrimaryKeyConstraint("queue", "job_class", "pinned_target"),
    )
    op.execute(
        "INSERT INTO old_queues (queue, job_class, pinned_target)"
        " SELECT DISTINCT queue, 'interactive', '' FROM residency_costs"
    )


def downgrade() -> None:
    op.drop_table("old_queues")
