"""The newest live run of the detector, as the casebook takes it.

1. Every flag and candidate is taken, every confirmed account that anything speaks against, and beside them a share of
   what scores less, drawn at random.
2. A member whose judgement is trusted is not a root: what rests on it may stand alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from tocsin.detect.casebook.book import Casebook
from tocsin.detect.casebook.intake import RestsOn, Scored, Taken, take
from tocsin.detect.casebook.measuring import trusted
from tocsin.detect.explaining import explain_each
from tocsin.detect.rules import Rules
from tocsin.detect.weights import CONFIRMED

if TYPE_CHECKING:
    import duckdb

Sample = Callable[[Sequence[str], int], Sequence[str]]
"""Draws so many of a sequence at random, without repetition."""


def take_run(
    book: Casebook, connection: duckdb.DuckDBPyConnection, run: int, rules: Rules, now: int, sample: Sample
) -> Taken:
    """Write the current run's flags and candidates into the casebook. Raises the casebook's errors."""
    below = [
        account
        for (account,) in connection.execute(
            "SELECT account FROM current.scores WHERE flag = 0 AND bits < ? AND bits > 0 ORDER BY account",
            [rules.candidate],
        ).fetchall()
    ]
    above = connection.execute(
        "SELECT count(*) FROM current.scores WHERE flag = 1 OR bits >= ?", [rules.candidate]
    ).fetchone() or (0,)
    wanted = above[0] * rules.random_percent // max(1, 100 - rules.random_percent)
    drawn = frozenset(sample(below, min(len(below), wanted)))
    connection.execute("CREATE OR REPLACE TEMP TABLE taken (account VARCHAR)")
    connection.execute(
        f"""INSERT INTO taken SELECT account FROM current.scores WHERE flag = 1 OR bits >= ?
        OR account IN (SELECT account FROM current.judged WHERE state = {CONFIRMED})""",
        [rules.candidate],
    )
    if drawn:
        connection.executemany(
            "INSERT INTO taken SELECT ? WHERE ? NOT IN (SELECT account FROM taken)",
            [[account, account] for account in sorted(drawn)],
        )
    with book.database.reading() as reading:
        trusts = trusted(reading, rules)
    return take(book, _scored(connection, rules, drawn, trusts), run, rules, now)


def _scored(
    connection: duckdb.DuckDBPyConnection, rules: Rules, drawn: frozenset[str], trusts: frozenset[str]
) -> Iterator[Scored]:
    entries: dict[tuple[int, str, str], list[RestsOn]] = defaultdict(list)
    for abuse, type, value, writer, name, entry, hops, disputed, tlp in connection.execute(
        """SELECT DISTINCT abuse, type, value, writer, reporter, entry, hops, disputed, tlp FROM current.signals
        ORDER BY writer, entry"""
    ).fetchall():
        entries[abuse, type, value].append(
            RestsOn(bytes.fromhex(writer), name, entry, hops, bool(disputed), tlp)
        )
    about = {
        account: (abuse, root)
        for account, abuse, root in connection.execute(
            """SELECT scores.account, scores.abuse, rests_on.root FROM current.scores
            LEFT JOIN current.rests_on USING (account)
            WHERE scores.account IN (SELECT account FROM temp.taken)"""
        ).fetchall()
    }
    known = {
        account
        for (account,) in connection.execute(
            f"SELECT account FROM current.judged WHERE state = {CONFIRMED}"
        ).fetchall()
    }
    for explanation in explain_each(connection, rules, "SELECT account FROM temp.taken"):
        abuse, root = about[explanation.account]
        yield Scored(
            explanation,
            abuse,
            None if root in trusts else root,
            explanation.account in drawn,
            {
                (reason.type, reason.value): tuple(entries.get((abuse, reason.type, reason.value), ()))
                for reason in explanation.reasons
            },
            explanation.account in known,
        )
