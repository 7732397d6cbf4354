"""Which client each post was sent for."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add the name of the client's block; what was sent before has none."""
    op.add_column("sends", sa.Column("client", sa.String(200), nullable=False, server_default=""))
