"""The collector's half of the ledger: events, rows, cursors, asks and their outcomes."""

import sqlalchemy as sa
from alembic import op

revision = "collector_0001"
down_revision = None
branch_labels = ("collector",)
depends_on = None


def _number(name: str) -> "sa.Column[int]":
    kind = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    return sa.Column(name, kind, primary_key=True, autoincrement=True)


def upgrade() -> None:
    """Make the tables."""
    _decisions()
    op.create_table(
        "decision_cursor",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("position", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "ask",
        _number("seq"),
        sa.Column("id", sa.Text, nullable=False, unique=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("site", "kind", "subject", "by")),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("data", sa.JSON, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "ask_outcome",
        sa.Column("ask", sa.Text, primary_key=True),
        sa.Column("accepted", sa.Boolean, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
    )


def _decisions() -> None:
    op.create_table(
        "decision_event",
        _number("seq"),
        *(sa.Column(n, sa.Text, nullable=False) for n in ("stream", "site", "subject", "kind")),
        sa.Column("at", sa.BigInteger, nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("key", "by")),
        sa.Column("data", sa.JSON, nullable=False),
        sa.Column("schema", sa.Integer, nullable=False),
        sa.UniqueConstraint("stream", "site", "key", name="decision_event_key"),
        sqlite_autoincrement=True,
    )
    op.create_index("decision_event_subject", "decision_event", ["stream", "site", "subject"])
    op.create_table(
        "decision_row",
        _number("number"),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("stream", "site", "id")),
        sa.Column("open", sa.Boolean, nullable=False),
        sa.Column("data", sa.JSON, nullable=False),
        sa.UniqueConstraint("stream", "site", "id", name="decision_row_id"),
    )
    op.create_index("decision_row_open", "decision_row", ["stream", "open", "number"])
