"""That an API key is being replaced, and by which one it was."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the columns to the keys."""
    for column in (
        sa.Column("rotating", sa.String(32), nullable=False, server_default=""),
        sa.Column("rotating_until", sa.Float, nullable=False, server_default="0"),
        sa.Column("replaced_by", sa.String(64), nullable=False, server_default=""),
    ):
        op.add_column("api_keys", column)
