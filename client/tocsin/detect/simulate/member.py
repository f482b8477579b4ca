"""One member of a simulated federation: its state, its round of detection, its reviews and what it publishes.

1. A member knows its own holdings up to today, its own detector's confirmed accounts, its verdicts, and labels that
   others published before today and whose value it holds. Nothing else reaches its detector.
2. A round is the product's own (`tocsin.detect.rounds`); the queue is the product's own (`tocsin.detect.review_order`).
3. An account is flagged on the first day that the detector flags it, that a review confirms it, or that it is a
   candidate which the member's own detector confirmed.
4. A rejected account stays closed until its score has grown.
5. A label carries buckets and weeks, never counts and days, and lives as long as its type's retention allows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tocsin.detect.review_order import Chosen, Draw, Waiting, next_reviews
from tocsin.detect.rounds import Plan, run
from tocsin.detect.rules import Rules
from tocsin.detect.weights import CONFIRMED, FLAGGED, REJECTED, scaled_totals
from tocsin.sealing.label import MAX_HOPS

if TYPE_CHECKING:
    import duckdb

ABUSE = 1
"""Distillation: the one kind of abuse that the simulation has."""
CONFIDENCE = 100
_NOBODY: Mapping[Any, int] = {}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a reviewer decided about an account. `hops` and `root` are those of the report that may follow."""

    account: int
    day: int
    confirmed: bool
    random: bool
    bits: int
    hops: int
    root: int | None
    alone: int | None
    """The one other member whose judgement the account rested on, if it was one."""


@dataclass
class Member:
    """A member: number, schema of its tables in DuckDB, and what it has decided so far."""

    connection: duckdb.DuckDBPyConnection
    number: int
    providers: tuple[int, ...]
    """Whose accounts it sees: its own, or all of them for the pooled reference."""
    rules: Rules
    join_day: int = 0
    """The first day on which it reads what others published, and publishes."""
    verdicts: dict[int, Verdict] = field(default_factory=dict)

    @property
    def schema(self) -> str:
        """The name of its schema."""
        return f"member_{self.number}"

    def prepare(self) -> None:
        """Make its tables: copies of its own holdings and accounts, and empty state."""
        run_sql = self.connection.execute
        mine = f"provider IN ({', '.join(map(str, self.providers))})"
        run_sql(f"CREATE SCHEMA {self.schema}")
        self.enter()
        run_sql(f"""CREATE TABLE held AS SELECT account, type, value, first_day, last_day FROM main.holdings
            WHERE {mine} ORDER BY first_day""")
        run_sql(f"CREATE TABLE own_accounts AS SELECT account, created_day FROM main.accounts WHERE {mine}")
        run_sql(f"CREATE TABLE own_confirmed AS SELECT account, day FROM main.confirmed WHERE {mine}")
        run_sql(f"CREATE TABLE truth AS SELECT account, hostile, first_day FROM main.truth WHERE {mine}")
        run_sql("CREATE TABLE flags (account INTEGER, day INTEGER, bits INTEGER)")
        run_sql("""CREATE TABLE verdicts (account INTEGER, day INTEGER, confirmed BOOLEAN, random BOOLEAN, bits INTEGER,
            hops INTEGER, root SMALLINT, alone SMALLINT)""")
        run_sql("CREATE TABLE trusted (root SMALLINT)")
        # A view is bound to its own day by a variable, so that the compiled round never changes.
        run_sql("""CREATE VIEW holdings AS SELECT account, type, value, first_day,
            least(last_day, getvariable('today'))::INTEGER AS last_day FROM held WHERE first_day <=
            getvariable('today')""")
        run_sql("""CREATE VIEW accounts AS SELECT account, (getvariable('today') - created_day)::BIGINT AS age_days
            FROM own_accounts WHERE created_day <= getvariable('today')""")
        run_sql('CREATE TABLE types AS SELECT type, family, "group", slack_days FROM main.types')
        run_sql("CREATE TABLE reporters (reporter SMALLINT, type SMALLINT, total BIGINT, counted BIGINT)")
        run_sql("""CREATE TABLE signals (type SMALLINT, value BIGINT, reporter SMALLINT, root SMALLINT, abuse TINYINT,
            accounts BIGINT, hops BIGINT, confidence BIGINT, disputed BIGINT, first_day INTEGER, last_day INTEGER)""")

    def enter(self) -> None:
        """Make its schema the connection's current one."""
        self.connection.execute(f"USE memory.{self.schema}")

    def detect(self, stages: Plan, day: int) -> None:
        """Run one round and remember new flags (rules 1, 3 and 4)."""
        self.enter()
        self.connection.execute(f"SET VARIABLE today = {day}")
        self.connection.execute(
            f"""CREATE OR REPLACE TABLE judged AS
            SELECT account, {CONFIRMED}::TINYINT AS state, {ABUSE}::TINYINT AS abuse FROM own_confirmed WHERE day <=
            {day} UNION ALL SELECT account, if(confirmed, {CONFIRMED}, {REJECTED})::TINYINT, {ABUSE}::TINYINT FROM
            verdicts UNION ALL SELECT account, {FLAGGED}::TINYINT, {ABUSE}::TINYINT FROM flags"""
        )
        self._receive()
        run(self.connection, stages)
        self.connection.execute(
            f"""INSERT INTO flags SELECT scores.account, ?, scores.bits FROM scores
            LEFT JOIN (SELECT account, max(bits) AS bits, bool_or(confirmed) AS confirmed FROM verdicts GROUP BY
                account) AS decided USING (account)
            LEFT JOIN (SELECT DISTINCT account FROM judged WHERE state = {CONFIRMED}) AS bad USING (account)
            ANTI JOIN flags USING (account)
            WHERE (flag = 1 OR (scores.bits >= ? AND bad.account IS NOT NULL))
                AND (decided.bits IS NULL OR decided.confirmed OR scores.bits >= decided.bits + ?)""",
            [day, self.rules.candidate, self.rules.reopen],
        )

    def review(self, day: int, size: int, draw: Draw) -> list[Chosen]:
        """Return whom the team reviews today, in order."""
        self.enter()
        rows = self.connection.execute(
            f"""SELECT scores.account, scores.bits, scores.flag, rests_on.root FROM scores
            LEFT JOIN rests_on USING (account)
            ANTI JOIN (SELECT DISTINCT account FROM judged WHERE state = {CONFIRMED}) AS bad USING (account)
            LEFT JOIN (SELECT account, max(bits) AS bits FROM verdicts GROUP BY account) AS decided USING (account)
            WHERE decided.bits IS NULL OR scores.bits >= decided.bits + ? ORDER BY scores.account""",
            [self.rules.reopen],
        ).fetchall()
        trusted = {root for (root,) in self.connection.execute("SELECT root FROM trusted").fetchall()}
        waiting = [
            Waiting(account, bits, flag == 1, None if root in trusted else root)
            for account, bits, flag, root in rows
        ]
        return next_reviews(waiting, size, self.rules, draw)

    def decide(self, day: int, decisions: list[tuple[Chosen, bool]]) -> None:
        """Keep the verdicts of a day. What a confirmed account rests on decides how its values may be shared on."""
        self.enter()
        rests = {
            account: (own, judgements, root, hops)
            for account, own, judgements, root, hops in self.connection.execute(
                """SELECT rests_on.account, own, judgements, root, hops FROM rests_on LEFT JOIN (
                    SELECT evidence.account, max(signals.hops) AS hops FROM evidence
                    JOIN signals USING (type, value) GROUP BY evidence.account) USING (account)"""
            ).fetchall()
        }
        rows = []
        for choice, confirmed in decisions:
            account = choice.waiting.account
            # What was drawn at random below the candidates has no known provenance, so it is not shared on.
            own, judgements, root, hops = rests.get(account, (0, 0, None, MAX_HOPS))
            shared_root: int | None = None
            if hops is None:  # nobody else's report speaks against it: the member found it by itself
                hops, shared_root = 0, self.number
            else:
                hops, shared_root = hops + 1, root if judgements == 1 else None
            alone = root if judgements == 1 and not own else None
            verdict = Verdict(
                account, day, confirmed, choice.random, choice.waiting.bits, hops, shared_root, alone
            )
            self.verdicts[account] = verdict
            rows.append([account, day, confirmed, choice.random, verdict.bits, hops, shared_root, alone])
        if not rows:
            return
        self.connection.executemany("INSERT INTO verdicts VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
        self.connection.execute(
            """INSERT INTO flags SELECT account, day, bits FROM verdicts ANTI JOIN flags USING (account)
            WHERE confirmed AND day = ?""",
            [day],
        )
        self.connection.execute(
            """CREATE OR REPLACE TABLE trusted AS SELECT alone AS root FROM verdicts WHERE alone IS NOT NULL
            GROUP BY alone HAVING count(*) >= ? AND count(*) FILTER (confirmed) * 100 >= count(*) * ?""",
            [self.rules.trust_verdicts, self.rules.trust_percent],
        )

    def publish(self, day: int, *, reviewed: bool) -> None:
        """Renew what others can read from tomorrow on: main.entries and main.entry_totals of this writer (rule 5)."""
        if day < self.join_day:
            return
        self.enter()
        run_sql = self.connection.execute
        matched = (
            f"UNION ALL SELECT account, hops, root FROM verdicts WHERE confirmed AND hops <= {MAX_HOPS}"
            if reviewed
            else ""
        )
        run_sql(f"""CREATE OR REPLACE TEMP TABLE shared AS SELECT held.account, held.type, held.value, bad.hops,
            bad.root, held.first_day, held.last_day FROM holdings AS held JOIN (
                SELECT account, min(hops) AS hops, min_by(root, hops) AS root FROM (
                    SELECT account, 0 AS hops, {self.number}::SMALLINT AS root FROM own_confirmed
                        WHERE day <= getvariable('today') {matched}) GROUP BY account) AS bad USING (account)
            JOIN main.types AS types USING (type)
            WHERE held.last_day >= getvariable('today') - types.retention - 6""")
        run_sql(f"DELETE FROM main.entries WHERE reporter = {self.number}")
        run_sql(f"DELETE FROM main.entry_totals WHERE reporter = {self.number}")
        run_sql(f"""INSERT INTO main.entries SELECT type, value, {self.number}, root, {ABUSE},
            {_middle("count(DISTINCT account)")}, hops, {CONFIDENCE}, 0, (min(first_day) // 7) * 7,
            (max(last_day) // 7) * 7 + 6 FROM shared GROUP BY type, value, root, hops""")
        run_sql(f"""INSERT INTO main.entry_totals SELECT {self.number}, type,
            greatest({_middle("count(DISTINCT account)")}, count(DISTINCT value) // 16)
            FROM shared GROUP BY type""")

    def _receive(self) -> None:
        """Open the labels of values that it holds."""
        run_sql = self.connection.execute
        run_sql(f"""CREATE OR REPLACE TABLE signals AS SELECT * FROM main.entries
            SEMI JOIN held USING (type, value) WHERE reporter <> {self.number}
            AND getvariable('today') >= {self.join_day}""")
        totals = {
            (reporter, type): total
            for reporter, type, total in run_sql(
                """SELECT reporter, type, total FROM main.entry_totals
                SEMI JOIN (SELECT DISTINCT reporter, type FROM signals) USING (reporter, type)"""
            ).fetchall()
        }
        own: dict[Any, int] = (
            dict(
                run_sql(f"""SELECT type, count(DISTINCT account) FROM holdings
                SEMI JOIN (SELECT account FROM judged WHERE state = {CONFIRMED}) USING (account) GROUP BY
                type""").fetchall()
            )
            if totals
            else dict(_NOBODY)
        )
        run_sql("DELETE FROM reporters")
        if rows := scaled_totals(totals, own, self.rules):
            self.connection.executemany("INSERT INTO reporters VALUES (?, ?, ?, ?)", rows)


def _middle(count: str) -> str:
    """The middle of the bucket that a count falls into, as `tocsin.detect.matching` reads it."""
    return f"((3 << (length(bin({count})) - 1)) - 1) // 2"
