"""The desk's first tables: events, rows and what they hold, cursors, numbers."""

import sqlalchemy as sa
from alembic import op

revision = "desk_0001"
down_revision = None
branch_labels = ("desk",)
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the tables."""
    _events()
    _rows()
    _held()
    op.create_table(
        "desk_cursor",
        sa.Column("name", sa.String(200), primary_key=True),
        sa.Column("position", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "desk_number",
        sa.Column("site", sa.String(64), primary_key=True),
        sa.Column("month", sa.String(6), primary_key=True),
        sa.Column("last", sa.Integer, nullable=False),
    )


def downgrade() -> None:
    """Take them away again."""
    for table in ("desk_number", "desk_cursor", "desk_held", "desk_row", "desk_event"):
        op.drop_table(table)


def _events() -> None:
    op.create_table(
        "desk_event",
        sa.Column("seq", _ID, primary_key=True, autoincrement=True),
        sa.Column("stream", sa.String(32), nullable=False),
        sa.Column("site", sa.String(64), nullable=False),
        sa.Column("subject", sa.String(400), nullable=False),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("by", sa.String(200), nullable=False),
        sa.Column("key", sa.String(600), nullable=False),
        sa.Column("data", sa.Text, nullable=False),
        sa.Column("schema", sa.Integer, nullable=False),
    )
    op.create_index("desk_event_key", "desk_event", ["stream", "site", "key"], unique=True)
    op.create_index("desk_event_subject", "desk_event", ["stream", "site", "subject"])


def _rows() -> None:
    op.create_table(
        "desk_row",
        sa.Column("nr", _ID, primary_key=True, autoincrement=True),
        sa.Column("stream", sa.String(32), nullable=False),
        sa.Column("site", sa.String(64), nullable=False),
        sa.Column("id", sa.String(400), nullable=False),
        sa.Column("open", sa.Boolean, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("unique_for_ever", sa.String(600), nullable=False),
        sa.Column("unique_open", sa.Text, nullable=False),
        sa.Column("data", sa.Text, nullable=False),
    )
    op.create_index("desk_row_id", "desk_row", ["stream", "site", "id"], unique=True)
    op.create_index("desk_row_open", "desk_row", ["stream", "open"])
    named = sa.text("unique_for_ever != ''")
    op.create_index(
        "desk_row_for_ever",
        "desk_row",
        ["stream", "site", "unique_for_ever"],
        unique=True,
        sqlite_where=named,
        postgresql_where=named,
    )


def _held() -> None:
    op.create_table(
        "desk_held",
        sa.Column("stream", sa.String(32), primary_key=True),
        sa.Column("site", sa.String(64), primary_key=True),
        sa.Column("id", sa.String(400), primary_key=True),
        sa.Column("key", sa.String(600), primary_key=True),
        sa.Column("open", sa.Boolean, nullable=False),
    )
    op.create_index(
        "desk_held_open",
        "desk_held",
        ["stream", "site", "key"],
        unique=True,
        sqlite_where=sa.text("open"),
        postgresql_where=sa.text("open"),
    )
