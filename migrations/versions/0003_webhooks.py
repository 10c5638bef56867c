"""Webhooks: who is told, what is owed, what was tried."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# A target's answer is a stranger's: a cast that fails would undo the end of its job.
JSON_OR_NULL = """
CREATE FUNCTION json_or_null(bytes bytea) RETURNS json
LANGUAGE plpgsql IMMUTABLE STRICT AS $$
BEGIN
    RETURN convert_from(bytes, 'UTF8')::json;
EXCEPTION WHEN OTHERS THEN
    RETURN NULL;
END
$$
"""

# STABLE: it sees the job as it was before the statement that calls it, so what a move changes is
# given. json and not jsonb: it keeps our order, and a result byte by byte.
WEBHOOK_BODY = """
CREATE FUNCTION webhook_body(
    this_job uuid, this_seq integer, this_state text, this_attempt integer, this_fence integer,
    this_reason text, this_status integer,
    this_error text, this_message text, this_is_permanent boolean
) RETURNS bytea
LANGUAGE plpgsql STABLE AS $$
DECLARE
    result json;
    manifest json;
    body bytea;
BEGIN
    IF this_state IN ('succeeded', 'failed') THEN
        result := (
            SELECT json_or_null(artifacts.body) FROM artifacts
            WHERE job_id = this_job AND fence = this_fence AND name = 'response.json'
                AND size_bytes <= 16000
        );
        manifest := (
            SELECT json_agg(json_build_object(
                'name', name, 'size', size_bytes,
                'sha256', sha256, 'content_type', left(content_type, 100)
            ) ORDER BY name) FROM (
                SELECT * FROM artifacts
                WHERE job_id = this_job AND fence = this_fence AND octet_length(name) <= 100
                ORDER BY name LIMIT 10
            ) first
        );
    END IF;
    LOOP
        body := (
            SELECT convert_to(json_build_object(
                'type', 'job.' || this_state,
                'timestamp', now(),
                'data', json_build_object(
                    'job_id', id,
                    'seq', this_seq,
                    'state', this_state,
                    'attempt', this_attempt,
                    'reason', left(this_reason, 100),
                    'model', left(model, 200),
                    'endpoint', left(endpoint, 100),
                    'metadata', CASE WHEN octet_length(metadata::text) <= 2000 THEN metadata END,
                    'retry_of', retry_of,
                    'created_at', created_at,
                    'status', this_status,
                    'error', CASE WHEN this_error IS NOT NULL THEN json_build_object(
                        'type', this_error,
                        'message', left(this_message, 500),
                        'retryable', NOT this_is_permanent
                    ) END,
                    'result', result,
                    'artifacts', manifest
                )
            )::text, 'UTF8') FROM jobs WHERE id = this_job
        );
        -- All that is not the result has limits of its own, which together are far below.
        EXIT WHEN result IS NULL OR octet_length(body) <= 20000;
        result := NULL;
    END LOOP;
    RETURN body;
END
$$
"""

DELIVERY_DUE = """
CREATE FUNCTION delivery_due(this_job uuid, fresh_attempts integer, fresh_s integer)
RETURNS timestamptz
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN coalesce((
        SELECT max(next_at) FROM deliveries
        WHERE job_id = this_job AND state = 'pending' AND attempts < fresh_attempts
            AND next_at <= now() + fresh_s * interval '1 s'
    ), now());
END
$$
"""


def upgrade() -> None:
    op.create_table(
        "hooks",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("receiver", sa.Text(), nullable=False),
        sa.Column("events", postgresql.ARRAY(sa.Text()), nullable=True),
        sa.Column(
            "secrets", postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False
        ),
        sa.Column("old_secrets_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("gone_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_id"),
    )
    op.create_table(
        "deliveries",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("receiver", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.Text(), server_default=sa.text("'pending'"), nullable=False),
        sa.Column(
            "next_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("fence", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('pending', 'succeeded', 'failed')", name="deliveries_state_known"
        ),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("job_id", "seq", name="deliveries_of_job"),
    )
    pending = sa.text("state = 'pending'")
    op.create_index(
        "deliveries_due", "deliveries", ["receiver", "next_at"], postgresql_where=pending
    )
    op.create_index(
        "deliveries_in_flight",
        "deliveries",
        ["receiver"],
        postgresql_where=sa.text("state = 'pending' AND lease_until IS NOT NULL"),
    )
    newest: list[str | sa.ColumnElement[object]] = [
        sa.literal_column("created_at DESC"),
        sa.literal_column("id DESC"),
    ]
    op.create_index("deliveries_newest", "deliveries", newest)
    op.create_index(
        "deliveries_failed", "deliveries", newest, postgresql_where=sa.text("state = 'failed'")
    )
    op.create_table(
        "attempts",
        sa.Column("delivery_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column(
            "at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("ms", sa.Integer(), nullable=False),
        sa.Column("excerpt", sa.Text(), nullable=False),
        sa.Column("error_class", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["delivery_id"], ["deliveries.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("delivery_id", "number"),
    )
    for function in (JSON_OR_NULL, WEBHOOK_BODY, DELIVERY_DUE):
        op.execute(function)


def downgrade() -> None:
    for name in ("delivery_due", "webhook_body", "json_or_null"):
        op.execute(f"DROP FUNCTION {name}")
    op.drop_table("attempts")
    op.drop_table("deliveries")
    op.drop_table("hooks")
