"""Why an account is flagged, or what is missing: words and numbers, from the tables of the current run.

1. Each value is named by type and shown by its bits: who reported it, how many own confirmed accounts hold it, how
   common it is among established accounts. The value itself is shown only where the caller asks for it.
2. What is missing to a flag, and what would take a flag away, is worked out by the same arithmetic as the score.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tocsin.detect.errors import NoSuchAccount
from tocsin.detect.rules import Rules, in_bits

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True, slots=True)
class Reason:
    """One value that speaks against an account. `weight` in steps of half a bit; `counts` what it adds to the score, in
    tenths of a step.
    """

    type: str
    value: str
    family: str
    group: str
    weight: int
    counts: int
    firm: bool
    own: int
    reporters: tuple[str, ...]
    holders: int
    established: int
    hub: bool


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything that a run knows about one account. `missing` and `would_end` are sentences."""

    account: str
    bits: int
    flag: bool
    groups: tuple[str, ...]
    reasons: tuple[Reason, ...]
    missing: tuple[str, ...]
    would_end: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Flagged:
    """A flagged account: its bits, the groups that speak against it, and who reported values of it."""

    account: str
    bits: float
    groups: tuple[str, ...]
    reporters: tuple[str, ...]


def flagged(connection: duckdb.DuckDBPyConnection) -> list[Flagged]:
    """Return the accounts that the current run flags, the strongest first."""
    rows = connection.execute(
        """SELECT scores.account, scores.bits, list(DISTINCT evidence."group"),
            list(DISTINCT signals.reporter) FILTER (signals.reporter IS NOT NULL)
        FROM current.scores AS scores
        JOIN current.evidence AS evidence USING (account, abuse)
        LEFT JOIN current.signals AS signals ON signals.type = evidence.type AND signals.value = evidence.value
            AND signals.abuse = evidence.abuse
        WHERE scores.flag = 1 GROUP BY scores.account, scores.bits ORDER BY scores.bits DESC, scores.account"""
    ).fetchall()
    return [
        Flagged(account, in_bits(bits), tuple(sorted(groups)), tuple(sorted(reporters or ())))
        for account, bits, groups, reporters in rows
    ]


def explain(connection: duckdb.DuckDBPyConnection, account: str, rules: Rules) -> Explanation:
    """Explain one account by the current run. Raises `NoSuchAccount`."""
    scored = connection.execute(
        "SELECT abuse, bits, firm_bits, flag, groups FROM current.scores WHERE account = ?", [account]
    ).fetchone()
    if scored is None:
        muted = muted_reports(connection, account)
        raise NoSuchAccount(
            "; ".join(("nothing that counts speaks against this account in the last run", *muted))
            if muted
            else "nothing speaks against this account in the last run: check the id, or run `tocsin detect run`"
        )
    abuse, bits, firm_bits, flag, independent = scored
    rows = connection.execute(
        f"{_ROWS} WHERE found.account = ? AND found.abuse = ? {_ORDER}", [account, abuse]
    ).fetchall()
    reported = defaultdict(set)
    for type, value, reporter in connection.execute(
        """SELECT type, value, reporter FROM current.signals SEMI JOIN (SELECT type, value FROM current.evidence
        WHERE account = ?) USING (type, value) WHERE abuse = ?""",
        [account, abuse],
    ).fetchall():
        reported[type, value].add(reporter)
    return _explanation(account, bits, firm_bits, flag, independent, rows, reported, rules)


def muted_reports(connection: duckdb.DuckDBPyConnection, account: str) -> list[str]:
    """Say which values of an account muted members reported, without the values."""
    rows = connection.execute(
        """SELECT DISTINCT type, reporter FROM current.muted_signals
        SEMI JOIN (SELECT type, value FROM current.holdings WHERE account = ?) USING (type, value)
        ORDER BY type, reporter""",
        [account],
    ).fetchall()
    return [
        f"`{type}`, reported by {reporter}, weighs nothing: your verdicts muted it" for type, reporter in rows
    ]


def explain_each(connection: duckdb.DuckDBPyConnection, rules: Rules, accounts: str) -> Iterator[Explanation]:
    """Explain every account of the current run that `accounts`, a query of one column, names. In account order."""
    reported: dict[int, dict[tuple[str, str], set[str]]] = defaultdict(lambda: defaultdict(set))
    for abuse, type, value, reporter in connection.execute(
        "SELECT DISTINCT abuse, type, value, reporter FROM current.signals"
    ).fetchall():
        reported[abuse][type, value].add(reporter)
    columns = "account, abuse, bits, firm_bits, flag, groups"
    wanted = f"(SELECT {columns} FROM current.scores WHERE account IN ({accounts})) AS scored"
    rows: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
    for account, *row in connection.execute(
        f"""{_ROWS.replace("SELECT ", "SELECT found.account, ", 1)}
        SEMI JOIN {wanted} ON found.account = scored.account AND found.abuse = scored.abuse {_ORDER}"""
    ).fetchall():
        rows[account].append(tuple(row))
    for account, abuse, bits, firm_bits, flag, independent in connection.execute(
        f"SELECT * FROM {wanted} ORDER BY account"
    ).fetchall():
        yield _explanation(account, bits, firm_bits, flag, independent, rows[account], reported[abuse], rules)


_ROWS = """SELECT found.type, found.value, found.family, found."group", found.weight, found.firm, found.own,
    weighed.holders, weighed.established, weighed.hub
    FROM current.evidence AS found JOIN current.weights AS weighed USING (abuse, type, value)"""
_ORDER = "ORDER BY found.weight DESC, found.type, found.value"


def _explanation(
    account: str, bits: int, firm_bits: int, flag: int, independent: int, rows: Sequence[tuple[Any, ...]],
    reported: Mapping[tuple[str, str], set[str]], rules: Rules,
) -> Explanation:  # fmt: skip
    reasons = _reasons(rows, reported, rules)
    groups = tuple(sorted({reason.group for reason in reasons}))
    return Explanation(
        account, bits, bool(flag), groups, reasons,
        () if flag else _missing(bits, firm_bits, groups, independent, reasons, rules),
        _would_end(reasons, rules) if flag else (),
    )  # fmt: skip


def sentence(reason: Reason) -> str:
    """Say one reason in words and numbers, without its value."""
    who = []
    if reason.own:
        who.append(f"{reason.own:,} of your confirmed accounts")
    if reason.reporters:
        who.append(f"reported by {', '.join(reason.reporters)}")
    common = f"held by {reason.holders:,} of {reason.established:,} established accounts"
    hub = "; a hub, joins nobody" if reason.hub else ""
    return f"`{reason.type}` {in_bits(reason.weight):g} bits: {' and '.join(who) or 'known as bad'}; {common}{hub}"


def _reasons(
    rows: Sequence[tuple[Any, ...]], reported: Mapping[tuple[str, str], set[str]], rules: Rules
) -> tuple[Reason, ...]:
    best: set[str] = set()
    reasons = []
    for type, value, family, group, weight, firm, own, holders, established, hub in rows:
        counts = weight * (rules.rest_tenths if family in best else 10)
        best.add(family)
        who = tuple(sorted(reported.get((type, value), ())))
        reasons.append(
            Reason(
                type,
                value,
                family,
                group,
                weight,
                counts,
                bool(firm),
                own,
                who,
                holders,
                established,
                bool(hub),
            )
        )
    return tuple(reasons)


def _score(reasons: Sequence[Reason], rules: Rules) -> int:
    of_family: dict[str, list[int]] = defaultdict(list)
    for reason in reasons:
        of_family[reason.family].append(reason.weight)
    tenths = 0
    for weights in of_family.values():
        best = max(weights)
        tenths += min(best * 10 + (sum(weights) - best) * rules.rest_tenths, rules.max_weight * 10)
    return tenths // 10


def _missing(
    bits: int,
    firm_bits: int,
    groups: Sequence[str],
    independent: int,
    reasons: Sequence[Reason],
    rules: Rules,
) -> tuple[str, ...]:
    said = []
    if bits < rules.flag:
        said.append(f"{in_bits(rules.flag - bits):g} more bits, to {in_bits(rules.flag):g}")
    if len(groups) < rules.groups:
        said.append(f"evidence of another kind than {' and '.join(groups) or 'none'}")
    elif independent < rules.groups:
        said.append("a second confirmed account: all of it rests on one, as in a household")
    if bits >= rules.flag > firm_bits:
        said.append(f"{rules.firm_total} known bad accounts with values of these types")
    if _score(reasons, rules) > bits:
        said.append("a second member's judgement, or one of your own: one other member's alone is not enough")
    return tuple(said)


def _would_end(reasons: Sequence[Reason], rules: Rules) -> tuple[str, ...]:
    """Which one report, or one value, the flag rests on."""
    said = []
    for reporter in sorted({reporter for reason in reasons for reporter in reason.reporters}):
        left = [reason for reason in reasons if reason.reporters != (reporter,) or reason.own]
        if _score(left, rules) < rules.flag or len({reason.group for reason in left}) < rules.groups:
            said.append(f"{reporter} retracts its reports")
    for reason in reasons:
        left = [other for other in reasons if other is not reason]
        if _score(left, rules) < rules.flag or len({other.group for other in left}) < rules.groups:
            said.append(f"this `{reason.type}` turns out to be someone else's, or common")
    return tuple(said) or (f"no single report or value: {len(reasons)} values speak against the account",)
