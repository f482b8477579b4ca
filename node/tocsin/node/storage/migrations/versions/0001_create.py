"""Create the schema of the first release."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def _key(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, primary_key=True, autoincrement=False)


def upgrade() -> None:
    """Create every table and index."""
    op.create_table(
        "meta",
        sa.Column("no", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("federation", sa.Text, nullable=False),
        sa.Column("member", sa.LargeBinary, nullable=False),
        sa.Column("seen_time", sa.BigInteger, nullable=False),
        sa.Column("erased_week", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "charter",
        _key("version"),
        sa.Column("envelope", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "submission",
        sa.Column("no", _NUMBER, primary_key=True),
        sa.Column("idempotency_key", sa.LargeBinary, nullable=False, unique=True),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("kind", sa.SmallInteger, nullable=False),
        sa.Column("count", sa.Integer, nullable=False),
        sa.Column("unsettled", sa.Integer, nullable=False),
        sa.Column("content", sa.LargeBinary),
        sa.Column("indices", sa.LargeBinary, nullable=False),
    )
    op.create_index(
        "submission_waiting",
        "submission",
        ["no"],
        sqlite_where=sa.text("content IS NOT NULL"),
        postgresql_where=sa.text("content IS NOT NULL"),
    )
    op.create_table(
        "log",
        sa.Column("no", _NUMBER, primary_key=True),
        sa.Column("member", sa.LargeBinary, nullable=False, unique=True),
        sa.Column("frontier", sa.LargeBinary, nullable=False),
        sa.Column("checkpoint", sa.LargeBinary, nullable=False),
        sa.Column("time", sa.BigInteger, nullable=False),
        sa.Column("quarantined", sa.Boolean, nullable=False),
        sa.Column("paced_until", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "intermediate",
        _key("size"),
        sa.Column("time", sa.BigInteger, nullable=False),
        sa.Column("note", sa.LargeBinary, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "awaited",
        _key("log"),
        _key("leaf_index"),
        sa.Column("due", sa.BigInteger, nullable=False),
        sa.Column("not_after", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("awaited_due", "awaited", ["log", "due"])
    op.create_table(
        "leaf",
        _key("log"),
        _key("leaf_index"),
        sa.Column("header", sa.LargeBinary, nullable=False),
        sa.Column("body_hash", sa.LargeBinary, nullable=False),
        sa.Column("nodes", sa.LargeBinary, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "body",
        _key("log"),
        _key("leaf_index"),
        sa.Column("not_after", sa.BigInteger, nullable=False),
        sa.Column("period", sa.BigInteger, nullable=False),
        sa.Column("tag", sa.LargeBinary, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("body_not_after", "body", ["not_after", "log", "leaf_index"])
    op.create_table(
        "live_tag",
        _key("log"),
        sa.Column("tag", sa.LargeBinary, primary_key=True),
        _key("leaf_index"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "fork",
        sa.Column("no", _NUMBER, primary_key=True),
        sa.Column("member", sa.LargeBinary, nullable=False),
        sa.Column("proof", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "budget",
        sa.Column("caller", sa.LargeBinary, primary_key=True),
        _key("key_class"),
        _key("epoch"),
        _key("seat"),
        sa.Column("used", sa.BigInteger, nullable=False),
        sa.Column("batches", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "batch",
        sa.Column("caller", sa.LargeBinary, primary_key=True),
        _key("key_class"),
        _key("epoch"),
        _key("seat"),
        _key("slot"),
        sa.Column("identity", sa.LargeBinary, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("batch_identity", "batch", ["identity"])
    op.create_table(
        "audit",
        sa.Column("no", _NUMBER, primary_key=True),
        sa.Column("time", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("evidence", sa.LargeBinary, nullable=False),
    )
    op.create_index(
        "audit_evidence",
        "audit",
        ["kind", "no"],
        sqlite_where=sa.text("length(evidence) > 0"),
        postgresql_where=sa.text("length(evidence) > 0"),
    )
