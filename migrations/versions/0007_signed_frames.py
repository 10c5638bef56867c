"""Each web process has a key, with which workers sign the frames that they send to it.

Web processes of the version before have none, and get frames without a signature.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("web_processes", sa.Column("frame_key", sa.LargeBinary(), nullable=True))


def downgrade() -> None:
    op.drop_column("web_processes", "frame_key")
