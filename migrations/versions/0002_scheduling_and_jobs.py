"""Scheduling and asynchronous jobs: classes, phases, costs of swaps, artifacts, caller's keys."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "residency_costs",
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("queue", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("swap_s", sa.Double(), nullable=True),
        sa.Column("swaps", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("served_until", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("target", "queue"),
    )
    op.create_table(
        "kept_models",
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column(
            "used_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column("evictions", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("target", "model"),
    )
    op.create_table(
        "artifacts",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("content_type", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_id", "fence", "name"),
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_index("idempotency_keys_of_job", "idempotency_keys", ["job_id"], unique=False)
    op.add_column(
        "jobs",
        sa.Column("job_class", sa.Text(), server_default=sa.text("'interactive'"), nullable=False),
    )
    op.add_column("jobs", sa.Column("phase", sa.Text(), nullable=True))
    op.add_column("jobs", sa.Column("pinned_target", sa.Text(), nullable=True))
    op.add_column("jobs", sa.Column("client", sa.Text(), nullable=True))
    op.add_column(
        "jobs",
        sa.Column(
            "metadata",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'"),
            nullable=False,
        ),
    )
    op.add_column("jobs", sa.Column("retry_of", sa.Uuid(), nullable=True))
    op.add_column(
        "jobs", sa.Column("streams", sa.Boolean(), server_default=sa.text("true"), nullable=False)
    )
    op.add_column(
        "jobs",
        sa.Column("keeps_stream", sa.Boolean(), server_default=sa.text("false"), nullable=False),
    )
    op.add_column("jobs", sa.Column("ready_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("jobs", sa.Column("deadline_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("jobs", sa.Column("error_is_permanent", sa.Boolean(), nullable=True))
    op.add_column("jobs", sa.Column("prompt_tokens", sa.Integer(), nullable=True))
    op.add_column("jobs", sa.Column("output_tokens", sa.Integer(), nullable=True))
    op.add_column("jobs", sa.Column("load_s", sa.Double(), nullable=True))
    op.add_column("jobs", sa.Column("prompt_eval_s", sa.Double(), nullable=True))
    op.add_column("jobs", sa.Column("eval_s", sa.Double(), nullable=True))
    op.create_index(
        "jobs_deadline",
        "jobs",
        ["deadline_at"],
        unique=False,
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_index(
        "jobs_ended_of_queue",
        "jobs",
        ["queue", "ended_at"],
        unique=False,
        postgresql_where=sa.text("status = 200"),
    )
    op.create_index(
        "jobs_labels",
        "jobs",
        ["metadata"],
        unique=False,
        postgresql_using="gin",
        postgresql_ops={"metadata": "jsonb_path_ops"},
        postgresql_where=sa.text("metadata <> '{}'::jsonb"),
    )
    op.create_index(
        "jobs_of_client",
        "jobs",
        ["client", sa.literal_column("created_at DESC")],
        unique=False,
        postgresql_where=sa.text("client IS NOT NULL"),
    )
    op.create_index(
        "jobs_unsuccessful",
        "jobs",
        ["state", sa.literal_column("created_at DESC")],
        unique=False,
        postgresql_where=sa.text("state IN ('failed', 'cancelled', 'expired')"),
    )
    op.create_check_constraint(
        "jobs_job_class_known", "jobs", "job_class IN ('interactive', 'batch')"
    )
    op.add_column("swaps", sa.Column("cost_s", sa.Double(), nullable=True))
    op.add_column("swaps", sa.Column("head_wait_s", sa.Double(), nullable=True))
    op.add_column(
        "swaps", sa.Column("fifo_swaps", sa.Integer(), server_default=sa.text("0"), nullable=False)
    )
    op.add_column(
        "swaps", sa.Column("saved_s", sa.Double(), server_default=sa.text("0"), nullable=False)
    )
    op.add_column("targets", sa.Column("loading_queue", sa.Text(), nullable=True))
    op.add_column("targets", sa.Column("sick_since", sa.DateTime(timezone=True), nullable=True))
    op.add_column("targets", sa.Column("sick_reason", sa.Text(), nullable=True))
    op.add_column("targets", sa.Column("reason", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("targets", "reason")
    op.drop_column("targets", "sick_reason")
    op.drop_column("targets", "sick_since")
    op.drop_column("targets", "loading_queue")
    op.drop_column("swaps", "saved_s")
    op.drop_column("swaps", "fifo_swaps")
    op.drop_column("swaps", "head_wait_s")
    op.drop_column("swaps", "cost_s")
    op.drop_constraint("jobs_job_class_known", "jobs")
    op.drop_index("jobs_unsuccessful", table_name="jobs")
    op.drop_index(
        "jobs_of_client", table_name="jobs", postgresql_where=sa.text("client IS NOT NULL")
    )
    op.drop_index(
        "jobs_labels",
        table_name="jobs",
        postgresql_using="gin",
        postgresql_ops={"metadata": "jsonb_path_ops"},
        postgresql_where=sa.text("metadata <> '{}'::jsonb"),
    )
    op.drop_index(
        "jobs_ended_of_queue", table_name="jobs", postgresql_where=sa.text("status = 200")
    )
    op.drop_index("jobs_deadline", table_name="jobs", postgresql_where=sa.text("ended_at IS NULL"))
    op.drop_column("jobs", "eval_s")
    op.drop_column("jobs", "prompt_eval_s")
    op.drop_column("jobs", "load_s")
    op.drop_column("jobs", "output_tokens")
    op.drop_column("jobs", "prompt_tokens")
    op.drop_column("jobs", "error_is_permanent")
    op.drop_column("jobs", "deadline_at")
    op.drop_column("jobs", "ready_at")
    op.drop_column("jobs", "keeps_stream")
    op.drop_column("jobs", "streams")
    op.drop_column("jobs", "retry_of")
    op.drop_column("jobs", "metadata")
    op.drop_column("jobs", "client")
    op.drop_column("jobs", "pinned_target")
    op.drop_column("jobs", "phase")
    op.drop_column("jobs", "job_class")
    op.drop_index("idempotency_keys_of_job", table_name="idempotency_keys")
    op.drop_table("idempotency_keys")
    op.drop_table("artifacts")
    op.drop_table("kept_models")
    op.drop_table("residency_costs")
