"""What speaks against an account, added up: Ibis expressions that only read.

1. A holding counts if its days overlap those of the value's weight.
2. Score = for each family of types its best value + 0.3 × the others, at most 14 bits; families add up.
3. A flag needs 15 bits from two groups at least, from values of which enough bad accounts are known. Values that all
   rest on one and the same confirmed account are one group: a household or a small office shares its address, its card
   and its device, and one wrong verdict must not flag all who live there.
4. One other member's judgement alone adds at most 8 bits to what is left without it, until this member's own verdicts
   have shown that it can be trusted. (With 14 bits, one lying member's report and a single bit of anything else is a
   flag: seen in simulation, four innocents in a hundred.)
5. A confirmed account is scored without itself. The kind of abuse with the highest score is the account's.
6. Sums are whole numbers of tenths of a step until the end, so every engine gives the same score.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tocsin.detect.rules import Rules
from tocsin.detect.weights import CONFIRMED, Known, words

if TYPE_CHECKING:
    from ibis.expr.types import IntegerColumn, Table


def evidence(known: Known, weighed: Table, rules: Rules) -> Table:
    """Return what counts against each account: account, abuse, type, value, family, group,
    weight, firm, own, only."""
    import ibis

    confirmed = (
        known.judged.filter(known.judged.state == CONFIRMED)
        .select("account", "abuse")
        .distinct()
        .mutate(itself=ibis.literal(1, "int64"), abuse=ibis._.abuse.cast("int64"))
    )
    held = known.holdings.inner_join(weighed, ["type", "value"], lname="held_{name}", rname="{name}")
    counts = held.filter((held.held_first_day <= held.last_day) & (held.held_last_day >= held.first_day))
    joined = counts.left_join(confirmed, ["account", "abuse"])
    rows = joined.select(
        account=counts.account, abuse=counts.abuse, type=counts.type, value=counts.value, family=counts.family,
        group=counts.group, firm=counts.firm, only=counts.only,
        weight=ibis.ifelse(confirmed.itself.notnull(), counts.weight_self, counts.weight),
        own=ibis.ifelse(confirmed.itself.notnull(), counts.own - 1, counts.own),
    )  # fmt: skip
    # One holding may have several rows, one for each window in which it was seen.
    return rows.filter(rows.weight >= rules.min_weight).distinct()


def totals(found: Table, rules: Rules) -> Table:
    """Return each account's score by kind of abuse (rules 2 and 3): account, abuse, bits, firm_bits, groups, values.

    Bits are in steps of half a bit.
    """
    import ibis

    firm = found.mutate(firm_weight=found.weight * found.firm)
    of_family = firm.group_by("account", "abuse", "family", "group").aggregate(
        best=ibis._.weight.max(),
        all=ibis._.weight.sum(),
        firm_best=ibis._.firm_weight.max(),
        firm_all=ibis._.firm_weight.sum(),
        values=ibis._.count(),
        several=ibis._.only.isnull().cast("int64").max(),
        first_only=ibis._.only.min(),
        last_only=ibis._.only.max(),
    )
    tenths = of_family.mutate(
        tenths=_family(of_family.best, of_family.all, rules),
        firm_tenths=_family(of_family.firm_best, of_family.firm_all, rules),
    )
    summed = tenths.group_by("account", "abuse").aggregate(
        tenths=ibis._.tenths.sum().cast("int64"),
        firm_tenths=ibis._.firm_tenths.sum().cast("int64"),
        groups=ibis._.group.nunique(),
        values=ibis._.values.sum().cast("int64"),
        several=ibis._.several.max(),
        first_only=ibis._.first_only.min(),
        last_only=ibis._.last_only.max(),
    )
    independent = (summed.several == 1) | ibis.coalesce(summed.first_only != summed.last_only, False)
    return summed.select(
        "account",
        "abuse",
        "values",
        groups=ibis.ifelse(independent, summed.groups, 1),
        bits=summed.tenths // 10,
        firm_bits=summed.firm_tenths // 10,
    )


def _family(best: IntegerColumn, all: IntegerColumn, rules: Rules) -> IntegerColumn:
    import ibis

    return ibis.least(best * 10 + (all - best) * rules.rest_tenths, rules.max_weight * 10).cast("int64")


def least_without_one(found: Table, scored: Table, without: Table, rules: Rules) -> Table:
    """Return the lowest score left when one member's word is taken away: account, abuse, left (rule 4).

    Only accounts that could be flagged, and only members that may not flag alone (`weights_without`).
    """
    import ibis

    high = scored.filter(scored.bits >= rules.one_judgement)
    rows = found.semi_join(high, ["account", "abuse"])
    pairs = (
        rows.inner_join(without, ["abuse", "type", "value"], rname="without_{name}")
        .select("account", "abuse", "member")
        .distinct()
    )
    spread = rows.inner_join(pairs, ["account", "abuse"]).select(
        *[rows[name] for name in rows.columns], pairs.member
    )
    left = spread.left_join(without, ["abuse", "type", "value", "member"]).select(
        *[spread[name] for name in ("account", "abuse", "member", "family")],
        weight=ibis.coalesce(without.weight, spread.weight),
    )
    of_family = (
        left.mutate(weight=ibis.ifelse(left.weight >= rules.min_weight, left.weight, 0))
        .group_by("account", "abuse", "member", "family")
        .aggregate(best=ibis._.weight.max(), all=ibis._.weight.sum())
    )
    of_member = (
        of_family.mutate(tenths=_family(of_family.best, of_family.all, rules))
        .group_by("account", "abuse", "member")
        .aggregate(left=ibis._.tenths.sum().cast("int64") // 10)
    )
    return of_member.group_by("account", "abuse").aggregate(left=ibis._.left.min())


def scores(scored: Table, left: Table, rules: Rules) -> Table:
    """Return one row for each account that anything speaks against, of its worst kind of abuse (rule 5).

    Columns: account, abuse, bits (as capped by rule 4), firm_bits, groups, values, flag (1 or 0).
    """
    import ibis

    joined = scored.left_join(left, ["account", "abuse"]).select(
        *[scored[name] for name in scored.columns], left=left.left
    )
    most = ibis.coalesce(joined.left + rules.one_judgement, joined.bits)
    capped = joined.mutate(
        bits=ibis.least(joined.bits, most).cast("int64"),
        firm_bits=ibis.least(joined.firm_bits, most).cast("int64"),
    )
    judged = capped.mutate(
        flag=((capped.firm_bits >= rules.flag) & (capped.groups >= rules.groups)).cast("int64")
    )
    first = judged.mutate(
        place=ibis.row_number().over(
            ibis.window(group_by="account", order_by=[ibis.desc("flag"), ibis.desc("bits"), "abuse"])
        )
    )
    return first.filter(first.place == 0).select(
        "account", "abuse", "bits", "firm_bits", "groups", "values", "flag"
    )


def rests_on(found: Table, scored: Table, known: Known, rules: Rules) -> Table:
    """Return whose judgements each candidate rests on: account, own (1 or 0), judgements (0, 1, or 2 for more), root.

    The member's own confirmed accounts are one judgement. All that others say is one where one member's word is in
    every report (`weights.words`); `root` is that member where there is no other judgement, the one nearest the root
    if there are two.
    """
    import ibis

    wanted = scored.filter(scored.bits >= rules.candidate)
    rows = found.semi_join(wanted, ["account", "abuse"])
    signals = known.signals.select("type", "value", "abuse", "reporter", "root").distinct()
    signals = signals.mutate(abuse=signals.abuse.cast("int64"))
    reports = rows.inner_join(signals, ["abuse", "type", "value"], rname="signal_{name}").select(
        "account", "abuse", "type", "value", "reporter", "root"
    )
    total = reports.group_by("account").aggregate(total=ibis._.count())
    of_member = (
        words(reports)
        .group_by("account", "member")
        .aggregate(said=ibis._.count(), at_root=ibis._.at_root.sum())
    )
    covering = of_member.inner_join(total, "account").filter(lambda table: table.said == table.total)
    first = covering.mutate(
        place=ibis.row_number().over(
            ibis.window(group_by="account", order_by=[ibis.desc("at_root"), "member"])
        )
    )
    alone = first.filter(first.place == 0).select("account", "member")
    own = rows.filter(rows.own > 0).select("account").distinct().mutate(own=ibis.literal(1, "int64"))
    every = wanted.select("account").distinct()
    heard = every.left_join(total, "account").select(every.account, heard=total.total.notnull().cast("int64"))
    joined = heard.left_join(alone, "account").select(heard.account, heard.heard, root=alone.member)
    last = joined.left_join(own, "account").select(
        *[joined[name] for name in joined.columns], own=ibis.coalesce(own.own, 0)
    )
    judgements = last.own + last.heard * ibis.ifelse(last.root.isnull(), 2, 1)
    return last.select(
        "account", "own", judgements=judgements.cast("int64"),
        root=ibis.ifelse((judgements == 1) & (last.own == 0), last.root, None),
    )  # fmt: skip
