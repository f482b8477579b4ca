"""Create the casebook of the first release."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def _no() -> sa.Column[int]:
    return sa.Column("no", _NUMBER, primary_key=True)


def _key(name: str, type: Any = sa.BigInteger) -> sa.Column[Any]:
    return sa.Column(name, type, primary_key=True, autoincrement=False)


def _all(type: Any, *names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, type, nullable=False) for name in names]


def upgrade() -> None:
    """Create every table, index and trigger."""
    number, text, raw, truth = sa.BigInteger, sa.Text, sa.LargeBinary, sa.Boolean
    op.create_table(
        "meta",
        _key("no"),
        *_all(raw, "key_mark"),
        *_all(number, "run"),
        *_all(raw, "last_hash"),
    )
    op.create_table(
        "flag",
        _no(),
        sa.Column("account", text, unique=True),
        *_all(text, "state"),
        *_all(truth, "flagged", "random", "golden", "sampled"),
        *_all(number, "abuse", "bits", "closed_bits"),
        sa.Column("root", text),
        sa.Column("campaign", text),
        *_all(text, "explanation"),
        *_all(number, "first_time", "changed", "decided", "returns", "round", "votes_needed"),
        sa.Column("claimed_by", text),
        *_all(number, "claimed_at", "claimed_until", "run"),
        *_all(truth, "known"),
    )
    op.create_index("flag_queue", "flag", ["state", "flagged", "bits"])
    op.create_index("flag_campaign", "flag", ["campaign"])
    op.create_table(
        "evidence",
        _key("flag"),
        _key("type", text),
        _key("value_key", raw),
        *_all(number, "weight", "own"),
        *_all(truth, "hub"),
    )
    op.create_index("evidence_value", "evidence", ["type", "value_key"])
    op.create_table(
        "resting",
        _key("flag"),
        _key("type", text),
        _key("value_key", raw),
        _key("writer", raw),
        _key("entry"),
        *_all(text, "writer_name"),
        *_all(number, "hops", "tlp"),
    )
    op.create_index("resting_entry", "resting", ["writer", "entry"])
    op.create_table(
        "verdict",
        _no(),
        *_all(number, "flag", "round"),
        *_all(text, "outcome", "reason"),
        *_all(truth, "matched"),
        *_all(text, "note", "reviewer"),
        *_all(number, "time", "seconds", "bits"),
        *_all(truth, "golden", "random", "sampled"),
        sa.Column("root", text),
    )
    op.create_index("verdict_flag", "verdict", ["flag"])
    op.create_table(
        "note",
        _no(),
        *_all(number, "flag"),
        *_all(text, "writer"),
        *_all(number, "time"),
        *_all(text, "text"),
    )
    op.create_table(
        "campaign", _key("id", text), *_all(text, "name"), *_all(number, "created"), *_all(text, "room")
    )
    op.create_table("joining", _key("type", text), _key("value_key", raw), *_all(number, "since"))
    op.create_table("campaign_sample", _key("campaign", text), _key("flag"))
    op.create_table(
        "campaign_vote",
        _key("campaign", text),
        _key("reviewer", text),
        *_all(text, "outcome", "reason"),
        *_all(number, "time"),
    )
    op.create_table(
        "shared",
        _no(),
        *_all(number, "flag"),
        *_all(text, "type"),
        *_all(raw, "value_key"),
        *_all(number, "time", "withdrawn"),
    )
    op.create_table("shared_on", _key("shared"), _key("writer", raw), _key("entry"))
    op.create_table(
        "delivery",
        _no(),
        sa.Column("name", text, nullable=False, unique=True),
        *_all(number, "verdict", "flag", "due", "attempts", "delivered"),
    )
    op.create_table(
        "history",
        _key("no"),
        *_all(number, "time"),
        *_all(text, "who", "what"),
        sa.Column("flag", number),
        *_all(text, "detail"),
        *_all(raw, "hash"),
    )
    op.create_index("history_flag", "history", ["flag"])
    for statement in _ONLY_ADDED[op.get_bind().dialect.name]:
        op.execute(statement)


_ONLY_ADDED = {
    "sqlite": tuple(
        f"CREATE TRIGGER history_no_{verb.lower()} BEFORE {verb} ON history "
        "BEGIN SELECT RAISE(ABORT, 'the history is only added to'); END"
        for verb in ("UPDATE", "DELETE")
    ),
    "postgresql": (
        "CREATE FUNCTION history_is_only_added_to() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'the history is only added to'; END $$",
        "CREATE TRIGGER history_only_added BEFORE UPDATE OR DELETE OR TRUNCATE ON history "
        "FOR EACH STATEMENT EXECUTE FUNCTION history_is_only_added_to()",
    ),
}
