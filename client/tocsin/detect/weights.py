"""How much a value speaks for abuse, in the receiver's own accounts: Ibis expressions that only read.

1. weight = log2[(k + q) ÷ (B + 1)] − log2 q, rounded down to half a bit, at most 14 bits, dropped below 1 bit.
2. q = (max(1, holders) + ½) ÷ (accounts + 1), over *established* accounts: 60 days old, neither flagged nor
   confirmed. A campaign must not make its own values look common, and a young account proves nothing.
3. k adds the receiver's own confirmed holders and each reporter's count of bad holders, times its confidence,
   halved for each hop, divided where disputed. B adds own confirmed accounts with a value of that type and the
   reporters' totals, each discounted as its counts are: an account that counts half in k counts half in B.
4. A reporter whose total is more than three times the median has count and total scaled down to that.
5. Own flags never count as bad. Kinds of abuse are weighed apart.
6. A value that the member's reviewers rejected three times, and three times as often as they confirmed it, weighs
   nothing.
7. A report is the word of its writer and of the member at whose detection it ends, its root. What
   a member says is taken away with every report that is its word, for a liar can name another's entry as what its own
   report rests on.
8. Counts are whole numbers of 1/1600 of an account. The logarithm is a table of 28 constants that one correctly rounded
   quotient is compared with, so DuckDB, Spark and a warehouse give the same weights.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tocsin.detect.rules import HALF, Rules

if TYPE_CHECKING:
    from ibis.expr.types import FloatingColumn, IntegerColumn, Table

FLAGGED, CONFIRMED, REJECTED = 0, 1, 2
"""States of an account that somebody, or a rule, has judged."""
UNITS = 1_600
"""Parts of an account that counts are kept in: percent of confidence × sixteenths for four hops."""
_TABLE = tuple(2.0 ** (step / HALF) for step in range(1, 64))
"""The least ratio of each half bit: the table of logarithms."""


@dataclass(frozen=True)
class Known:
    """What one member knows when a round begins, as Ibis tables.

    `holdings`: account, type, value, first_day, last_day. `accounts`: account, age_days. `judged`: account, state
    (`FLAGGED`, `CONFIRMED`, `REJECTED`), abuse; an account may have several rows. `signals`: type, value, reporter,
    root, abuse, accounts, hops, confidence, disputed (0 or 1), first_day, last_day; `root` is the member whose
    judgement the report rests on, null where there are several. `reporters`: reporter, type, total, counted, as
    `scaled_totals` gives them. `trusted`: root. `types`: type, family, group, slack_days. Types, values and accounts
    are of any type that can be compared; the same in all tables.
    """

    holdings: Table
    accounts: Table
    judged: Table
    signals: Table
    reporters: Table
    trusted: Table
    types: Table


def scaled_totals(
    totals: Mapping[tuple[Any, Any], int], own: Mapping[Any, int], rules: Rules
) -> list[tuple[Any, Any, int, int]]:
    """Return (reporter, type, total, counted) for each reporter's total of a type (rule 4).

    `own` is the member's own total of each type, which counts for the median where it is above 0.
    """
    of_type: dict[Any, list[int]] = {}
    for (_, type), total in totals.items():
        of_type.setdefault(type, []).append(total)
    limits = {
        type: rules.volume_ratio * statistics.median_low(_with_own(found, own.get(type, 0)))
        for type, found in of_type.items()
    }
    return [
        (reporter, type, total, max(1, min(total, limits[type])))
        for (reporter, type), total in totals.items()
    ]


def _with_own(totals: Sequence[int], own: int) -> list[int]:
    return [*totals, own] if own else list(totals)


def counted_signals(known: Known, rules: Rules) -> Table:
    """Return the signals with their counts in units (rules 3 and 4): abuse, type, value, reporter, root, k,
    first_day, last_day.
    """
    signals = known.signals.inner_join(known.reporters, ["reporter", "type"])
    halved = (signals.accounts * signals.confidence * 16) // _powers(signals.hops)
    divisor = signals.total * (1 + signals.disputed * (rules.disputed_divisor - 1))
    return signals.select(
        "type",
        "value",
        "reporter",
        "root",
        "first_day",
        "last_day",
        abuse=signals.abuse.cast("int64"),
        k=((halved * signals.counted) // divisor).cast("int64"),
    )


def bad_values(known: Known, counted: Table) -> Table:
    """Return every value that a confirmed account or a signal speaks against: abuse, type, value, own, only, k,
    first_day, last_day. `counted` is the result of `counted_signals`.
    """
    import ibis

    own = (
        _held_by_confirmed(known)
        .group_by("abuse", "type", "value", "account")
        .aggregate(first_day=ibis._.first_day.min(), last_day=ibis._.last_day.max())
        .group_by("abuse", "type", "value")
        .aggregate(
            own=ibis._.count(),
            only=ibis._.account.min(),
            first_day=ibis._.first_day.min(),
            last_day=ibis._.last_day.max(),
        )
    )
    foreign = counted.group_by("abuse", "type", "value").aggregate(
        k=ibis._.k.sum().cast("int64"), first_day=ibis._.first_day.min(), last_day=ibis._.last_day.max()
    )
    columns = ("abuse", "type", "value", "own", "only", "k", "first_day", "last_day")
    nobody = ibis.null().cast(own.only.type())
    both = own.mutate(k=own.own * UNITS).select(*columns)
    return (
        both.union(foreign.mutate(own=ibis.literal(0, "int64"), only=nobody).select(*columns))
        .group_by("abuse", "type", "value")
        .aggregate(
            own=ibis._.own.sum().cast("int64"),
            only=ibis._.only.max(),
            k=ibis._.k.sum().cast("int64"),
            first_day=ibis._.first_day.min(),
            last_day=ibis._.last_day.max(),
        )
    )


def ratios(known: Known, bad: Table, rules: Rules) -> Table:
    """Return `bad` (the result of `bad_values`) with B, the established holders and accounts, and the two ratios of
    which the weights are logarithms: for everybody, and for a confirmed account without itself.
    """
    import ibis

    established = _established(known, rules)
    holders = (
        known.holdings.semi_join(bad, ["type", "value"])
        .semi_join(established, "account")
        .select("type", "value", "account")
        .distinct()
        .group_by("type", "value")
        .aggregate(holders=ibis._.count())
    )
    own_totals = (
        _held_by_confirmed(known)
        .select("type", "abuse", "account")
        .distinct()
        .group_by("type", "abuse")
        .aggregate(own_total=ibis._.count())
    )
    foreign_totals = _foreign_totals(known)
    joined = (
        bad.anti_join(_rejected(known, rules), ["abuse", "type", "value"])
        .left_join(holders, ["type", "value"])
        .left_join(own_totals, ["type", "abuse"], rname="own_{name}")
        .left_join(foreign_totals, ["type", "abuse"], rname="foreign_{name}")
        .cross_join(established.aggregate(established=ibis._.count()))
    )
    filled = joined.select(
        *bad.columns,
        "established",
        holders=ibis.coalesce(joined.holders, 0),
        total=ibis.coalesce(joined.own_total, 0) + ibis.coalesce(joined.foreign_total, 0),
    )
    return filled.mutate(
        ratio=_ratio(filled.k, filled.total, filled.holders, filled.established),
        ratio_self=_ratio(filled.k - UNITS, filled.total - 1, filled.holders, filled.established),
    )


def weights(known: Known, measured: Table, rules: Rules) -> Table:
    """Return every value that weighs something; `measured` is the result of `ratios`.

    Columns: abuse, type, value, family, group, weight (steps of half a bit), weight_self (as a confirmed account sees
    it, without itself), firm (1 where enough bad accounts are known), own, only (the one own
    confirmed account that all of it rests on, or null), k, total, holders, established, hub,
    first_day, last_day (the days in which a holding counts, slack included).
    """
    import ibis

    weight = _steps(measured.ratio, rules)
    weighed = measured.mutate(
        weight=weight,
        weight_self=ibis.ifelse(measured.own > 0, _steps(measured.ratio_self, rules), weight),
        firm=(measured.total >= rules.firm_total).cast("int64"),
        hub=(
            (measured.holders >= rules.hub_holders)
            & (measured.holders * 1_000 >= measured.established * rules.hub_per_mille)
        ).cast("int64"),
    )
    typed = weighed.filter(weighed.weight >= rules.min_weight).inner_join(known.types, "type")
    return typed.select(
        "abuse", "type", "value", "family", "group", "weight", "weight_self", "firm", "own", "k", "total", "holders",
        "established", "hub",
        only=ibis.ifelse((typed.own == 1) & (typed.k == UNITS), typed.only, ibis.null().cast(typed.only.type())),
        first_day=typed.first_day - typed.slack_days,
        last_day=typed.last_day + typed.slack_days,
    )  # fmt: skip


def words(signals: Table) -> Table:
    """Return each signal once for each member whose word it is (rule 7): its columns, `member`, `at_root` (1 or 0)."""
    import ibis

    of_root = signals.filter(signals.root.notnull()).mutate(
        member=ibis._.root, at_root=ibis.literal(1, "int64")
    )
    other = signals.filter(signals.root.isnull() | (signals.root != signals.reporter))
    return of_root.union(other.mutate(member=ibis._.reporter, at_root=ibis.literal(0, "int64")))


def ratios_without(known: Known, counted: Table, weighed: Table) -> Table:
    """Return each value's ratio without one other member's word: abuse, type, value, member, k, ratio.

    Only members that are not trusted to stand alone, and only values that rest on their word.
    """
    import ibis

    of_member = (
        words(counted)
        .anti_join(known.trusted, ibis._.member == known.trusted.root)
        .group_by("abuse", "type", "value", "member")
        .aggregate(k_member=ibis._.k.sum().cast("int64"))
    )
    left = of_member.inner_join(weighed, ["abuse", "type", "value"])
    left = left.select(
        "abuse", "type", "value", "member", "total", "holders", "established", k=left.k - left.k_member
    )
    return left.select(
        "abuse",
        "type",
        "value",
        "member",
        "k",
        ratio=_ratio(left.k, left.total, left.holders, left.established),
    )


def weights_without(measured: Table, rules: Rules) -> Table:
    """Return what each value weighs without one other member's word: abuse, type, value, member, weight.

    `measured` is the result of `ratios_without`.
    """
    import ibis

    weight = ibis.ifelse(measured.k <= 0, 0, _steps(measured.ratio, rules))
    return measured.select("abuse", "type", "value", "member", weight=weight)


def _held_by_confirmed(known: Known) -> Table:
    confirmed = known.judged.filter(known.judged.state == CONFIRMED)
    confirmed = confirmed.select("account", abuse=confirmed.abuse.cast("int64")).distinct()
    return known.holdings.inner_join(confirmed, "account")


def _powers(hops: IntegerColumn) -> IntegerColumn:
    import ibis

    return ibis.cases((hops == 0, 1), (hops == 1, 2), (hops == 2, 4), (hops == 3, 8), else_=16)


def _foreign_totals(known: Known) -> Table:
    """The reporters' totals of a type, once for each kind of abuse that they report in it.

    A total counts whole accounts. What hops and confidence leave of a reporter's counts, they leave of its total.
    """
    import ibis

    halved = known.signals.mutate(
        whole=known.signals.accounts * UNITS,
        halved=(known.signals.accounts * known.signals.confidence * 16) // _powers(known.signals.hops),
    )
    kinds = halved.group_by("reporter", "type", "abuse").aggregate(
        whole=ibis._.whole.sum().cast("float64"), halved=ibis._.halved.sum().cast("float64")
    )
    joined = kinds.inner_join(known.reporters, ["reporter", "type"])
    # One quotient of doubles: exact for every sum that is real, and the same on every engine.
    left = (joined.counted.cast("float64") * joined.halved / ibis.greatest(joined.whole, 1.0)).ceil()
    return (
        joined.mutate(abuse=joined.abuse.cast("int64"), left=ibis.greatest(left, 1.0).cast("int64"))
        .group_by("type", "abuse")
        .aggregate(foreign_total=ibis._.left.sum().cast("int64"))
    )


def _established(known: Known, rules: Rules) -> Table:
    bad = known.judged.filter(known.judged.state != REJECTED)
    return (
        known.accounts.filter(known.accounts.age_days >= rules.established_days)
        .anti_join(bad, "account")
        .select("account")
        .distinct()
    )


def _rejected(known: Known, rules: Rules) -> Table:
    """Values that the member's own verdicts switch off (rule 6)."""

    verdicts = known.judged.filter(known.judged.state != FLAGGED)
    refused = known.holdings.semi_join(verdicts.filter(verdicts.state == REJECTED), "account").select(
        "type", "value"
    )
    held = (
        known.holdings.semi_join(refused.distinct(), ["type", "value"])
        .inner_join(verdicts, "account")
        .select("abuse", "type", "value", "account", "state")
        .distinct()
    )
    counts = held.group_by("abuse", "type", "value").aggregate(
        rejected=(held.state == REJECTED).cast("int64").sum(),
        confirmed=(held.state == CONFIRMED).cast("int64").sum(),
    )
    off = counts.filter(
        (counts.rejected >= rules.rejections) & (counts.rejected > rules.rejections * counts.confirmed)
    )
    return off.mutate(abuse=off.abuse.cast("int64")).select("abuse", "type", "value")


def _ratio(
    k: IntegerColumn, total: IntegerColumn, holders: IntegerColumn, accounts: IntegerColumn
) -> FloatingColumn:
    """Rule 1: (k + q) ÷ ((B + 1) q) with q = (2 h + 1) ÷ (2 (N + 1)), as one quotient of whole numbers (rule 7)."""
    import ibis

    twice_holders = (ibis.greatest(holders, 1) * 2 + 1) * UNITS
    # As doubles: the products pass 64 bits with tens of millions of accounts, and one rounding is the same everywhere.
    above = ibis.greatest(k, 0).cast("float64") * (accounts * 2 + 2).cast("float64") + twice_holders.cast(
        "float64"
    )
    return above / ((ibis.greatest(total, 0) + 1).cast("float64") * twice_holders.cast("float64"))


def _steps(ratio: FloatingColumn, rules: Rules) -> IntegerColumn:
    steps = [(ratio >= bound).cast("int64") for bound in _TABLE[: rules.max_weight]]
    return sum(steps[1:], steps[0])
