"""The tables of a node's database.

Rules
1. One log per member, known by a small number (`log.no`), so that no row repeats a 16-byte id.
2. `leaf` is permanent. `body` and `live_tag` hold exactly the sealed entries that are neither expired nor retracted,
   so what a read of live entries costs never depends on what was erased.
3. A complete tree node of level 1 or more is kept in the row of the leaf that completed it: `leaf.nodes` is the
   hashes of levels 1, 2, … one behind the other. Level 0 is computed from the row. So the tree costs no row.
4. A look-up reads `live_tag` alone: its primary key is all of it.
5. A submission is one row; what waits for the tick is its `content` (`rows.py`), NULL once nothing of it waits.
6. The batches of a caller at a seat are a ring of `KEPT_BATCHES` slots: the one numbered n is in slot n mod that many,
   where it replaces an earlier one. So what batches leave behind is bounded, however small they are (M-4.22).
7. Columns hold what `model.py` names them for; u64 and u32 are BIGINT, ids and hashes raw bytes.
"""

from __future__ import annotations

from typing import ClassVar

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Text,
    func,
)
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

_Number = BigInteger().with_variant(Integer, "sqlite")
"""A key that the database counts up itself: SQLite does that for a column of type INTEGER only."""

_CLUSTERED = {"sqlite_with_rowid": False}
"""The primary key is the table's only tree (SQLite's WITHOUT ROWID)."""


class _Table(SQLModel, registry=registry()):
    """What every table of this database derives from."""


class Meta(_Table, table=True):
    """Whose database this is: one row."""

    __tablename__ = "meta"
    no: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    federation: str = Field(sa_column=Column(Text, nullable=False))
    member: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    seen_time: int = Field(sa_column=Column(BigInteger, nullable=False))
    erased_week: int = Field(sa_column=Column(BigInteger, nullable=False))


class Charter(_Table, table=True):
    """Signed charter envelopes by version."""

    __tablename__ = "charter"
    version: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    envelope: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class Submission(_Table, table=True):
    """Acknowledged submissions and retractions, in order of acknowledgement; kept permanently with their digest."""

    __tablename__ = "submission"
    no: int | None = Field(default=None, sa_column=Column(_Number, primary_key=True))
    idempotency_key: bytes = Field(sa_column=Column(LargeBinary, nullable=False, unique=True))
    digest: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    kind: int = Field(sa_column=Column(SmallInteger, nullable=False))
    count: int = Field(sa_column=Column(Integer, nullable=False))
    unsettled: int = Field(sa_column=Column(Integer, nullable=False))
    content: bytes | None = Field(default=None, sa_column=Column(LargeBinary))
    indices: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class Log(_Table, table=True):
    """The tip of every log."""

    __tablename__ = "log"
    no: int | None = Field(default=None, sa_column=Column(_Number, primary_key=True))
    member: bytes = Field(sa_column=Column(LargeBinary, nullable=False, unique=True))
    frontier: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    checkpoint: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    time: int = Field(sa_column=Column(BigInteger, nullable=False))
    quarantined: bool = Field(sa_column=Column(Boolean, nullable=False))
    paced_until: int = Field(sa_column=Column(BigInteger, nullable=False))


class Intermediate(_Table, table=True):
    """Checkpoints of this member's own log at the multiples of `STEP_ENTRIES`."""

    __tablename__ = "intermediate"
    __table_args__: ClassVar = (_CLUSTERED,)
    size: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    time: int = Field(sa_column=Column(BigInteger, nullable=False))
    note: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class Awaited(_Table, table=True):
    """Live entries of followed logs that came without a body, until the RETRACT that is due by a size has come."""

    __tablename__ = "awaited"
    __table_args__: ClassVar = (_CLUSTERED,)
    log: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    leaf_index: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    due: int = Field(sa_column=Column(BigInteger, nullable=False))
    not_after: int = Field(sa_column=Column(BigInteger, nullable=False))


class Leaf(_Table, table=True):
    """Every entry's permanent part, and the tree nodes it completed (rule 3)."""

    __tablename__ = "leaf"
    __table_args__: ClassVar = (_CLUSTERED,)
    log: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    leaf_index: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    header: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    body_hash: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    nodes: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class Body(_Table, table=True):
    """Bodies of live sealed entries; `sealed` is nonce ‖ box."""

    __tablename__ = "body"
    __table_args__: ClassVar = (Index("body_not_after", "not_after", "log", "leaf_index"), _CLUSTERED)
    log: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    leaf_index: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    not_after: int = Field(sa_column=Column(BigInteger, nullable=False))
    period: int = Field(sa_column=Column(BigInteger, nullable=False))
    tag: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    sealed: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class LiveTag(_Table, table=True):
    """The index of a live tag in a log."""

    __tablename__ = "live_tag"
    __table_args__: ClassVar = (_CLUSTERED,)
    log: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    tag: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    leaf_index: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))


class Fork(_Table, table=True):
    """Proofs that an origin signed two histories."""

    __tablename__ = "fork"
    no: int | None = Field(default=None, sa_column=Column(_Number, primary_key=True))
    member: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    proof: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class Budget(_Table, table=True):
    """Evaluations and batches charged, per caller and seat."""

    __tablename__ = "budget"
    __table_args__: ClassVar = (_CLUSTERED,)
    caller: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    key_class: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    epoch: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    seat: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    used: int = Field(sa_column=Column(BigInteger, nullable=False))
    batches: int = Field(sa_column=Column(BigInteger, nullable=False))


class Batch(_Table, table=True):
    """Identities of batches that were charged: asked again they cost nothing (rule 6)."""

    __tablename__ = "batch"
    __table_args__: ClassVar = (Index("batch_identity", "identity"), _CLUSTERED)
    caller: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    key_class: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    epoch: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    seat: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    slot: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    identity: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class Audit(_Table, table=True):
    """What an auditor reads: audit events in order."""

    __tablename__ = "audit"
    no: int | None = Field(default=None, sa_column=Column(_Number, primary_key=True))
    time: int = Field(sa_column=Column(BigInteger, nullable=False))
    kind: str = Field(sa_column=Column(Text, nullable=False))
    detail: str = Field(sa_column=Column(Text, nullable=False))
    evidence: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


metadata: MetaData = _Table.metadata
meta, charter, submission = (metadata.tables[name] for name in ("meta", "charter", "submission"))
log, leaf, body, live_tag = (metadata.tables[name] for name in ("log", "leaf", "body", "live_tag"))
intermediate, awaited = (metadata.tables[name] for name in ("intermediate", "awaited"))
fork, budget, batch, audit = (metadata.tables[name] for name in ("fork", "budget", "batch", "audit"))

# Proofs are few among what was merely counted.
Index(
    "audit_evidence",
    audit.c.kind,
    audit.c.no,
    sqlite_where=func.length(audit.c.evidence) > 0,
    postgresql_where=func.length(audit.c.evidence) > 0,
)
# The step that a RETRACT was due by is found without reading those that are not due.
Index("awaited_due", awaited.c.log, awaited.c.due)
# What waits is found without reading what does not.
Index(
    "submission_waiting",
    submission.c.no,
    sqlite_where=submission.c.content.is_not(None),
    postgresql_where=submission.c.content.is_not(None),
)
