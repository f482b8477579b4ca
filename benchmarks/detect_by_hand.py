"""The detector's round again, as one writes it by hand in DuckDB's SQL: what the Ibis expressions are measured
against."""

from __future__ import annotations

import duckdb

_LOG = "least(28, floor(2 * log2({ratio}) + 1e-9))::BIGINT"
"""The real logarithm: shorter than the table, and on one engine it may round as it likes."""
_RATIO = (
    "(k * (2.0 * n + 2) + 1600 * (2 * greatest(h, 1) + 1)) / ((b + 1.0) * 1600 * (2 * greatest(h, 1) + 1))"
)
_RATIO_SELF = _RATIO.replace("(k *", "(greatest(k - 1600, 0) *").replace("(b + 1.0)", "greatest(b, 1.0)")

STATEMENTS = (
    "CREATE OR REPLACE TABLE hand_confirmed AS SELECT DISTINCT account FROM judged WHERE state = 1",
    """CREATE OR REPLACE TABLE hand_established AS SELECT account FROM accounts WHERE age_days >= 60
    AND account NOT IN (SELECT account FROM judged WHERE state <> 2)""",
    """CREATE OR REPLACE TABLE hand_counted AS SELECT type, value, root, first_day, last_day,
    accounts * confidence * 16 // (1 << hops) * counted // (total * (1 + 3 * disputed)) AS k
    FROM signals JOIN reporters USING (reporter, type)""",
    """CREATE OR REPLACE TABLE hand_bad AS SELECT type, value, max(sole) AS sole, sum(own)::BIGINT AS own,
    sum(k)::BIGINT AS k,
    min(first_day) AS first_day, max(last_day) AS last_day FROM (
        SELECT type, value, min(account) AS sole, count(DISTINCT account) AS own, count(DISTINCT account) * 1600 AS
        k, min(first_day) AS
        first_day,
            max(last_day) AS last_day FROM holdings SEMI JOIN hand_confirmed USING (account) GROUP BY type, value
        UNION ALL SELECT type, value, NULL, 0, sum(k), min(first_day), max(last_day) FROM hand_counted GROUP BY
        type, value)
    GROUP BY type, value""",
    """CREATE OR REPLACE TABLE hand_off AS SELECT type, value FROM (
        SELECT type, value, count(DISTINCT account) FILTER (state = 2) AS rejected,
            count(DISTINCT account) FILTER (state = 1) AS confirmed
        FROM holdings SEMI JOIN hand_bad USING (type, value) JOIN judged USING (account) WHERE state <> 0
        GROUP BY type, value) WHERE rejected >= 3 AND rejected > 3 * confirmed""",
    f"""CREATE OR REPLACE TABLE hand_weights AS
    WITH held AS (SELECT type, value, count(DISTINCT account) AS h FROM holdings SEMI JOIN hand_bad USING (type, value)
        SEMI JOIN hand_established USING (account) GROUP BY type, value),
    own_totals AS (SELECT type, count(DISTINCT account) AS b FROM holdings SEMI JOIN hand_confirmed USING (account)
    GROUP BY type),
    foreign_totals AS (SELECT type, sum(greatest(1, ceil(counted * halved / greatest(whole, 1))))::BIGINT AS b
        FROM reporters JOIN (SELECT reporter, type, sum(accounts * 1600) AS whole,
            sum(accounts * confidence * 16 // (1 << hops)) AS halved FROM signals GROUP BY ALL)
        USING (reporter, type) GROUP BY type),
    joined AS (SELECT bad.*, coalesce(held.h, 0) AS h, coalesce(own_totals.b, 0) + coalesce(foreign_totals.b, 0) AS b,
        (SELECT count(*) FROM hand_established) AS n FROM hand_bad AS bad ANTI JOIN hand_off USING (type, value)
        LEFT JOIN held USING (type, value)
        LEFT JOIN own_totals USING (type) LEFT JOIN foreign_totals USING (type))
    SELECT type, value, family, "group", own, if(own = 1 AND k = 1600, sole, NULL) AS sole, k, b, h, n,
    {_LOG.format(ratio=_RATIO)} AS weight,
        {_LOG.format(ratio=_RATIO_SELF)} AS weight_self,
        first_day - slack_days AS first_day, last_day + slack_days AS last_day FROM joined JOIN types USING (type)
    WHERE weight >= 2""",
    f"""CREATE OR REPLACE TABLE hand_without AS
    SELECT type, value, root, CASE WHEN k <= 0 THEN 0 ELSE {_LOG.format(ratio=_RATIO)} END AS weight FROM (
        SELECT type, value, root, weights.k - of_root.k AS k, b, h, n FROM (
            SELECT type, value, root, sum(k) AS k FROM hand_counted WHERE root IS NOT NULL
            AND root NOT IN (SELECT root FROM trusted) GROUP BY ALL) AS of_root
        JOIN hand_weights AS weights USING (type, value))""",
    """CREATE OR REPLACE TABLE hand_evidence AS SELECT DISTINCT held.account, type, value, family, "group", b >= 5
    AS firm,
    if(bad.account IS NULL OR own = 0, weight, weight_self) AS weight FROM holdings AS held JOIN hand_weights AS weights
    USING (type, value) LEFT JOIN hand_confirmed AS bad ON bad.account = held.account
    WHERE held.first_day <= weights.last_day AND held.last_day >= weights.first_day
    AND if(bad.account IS NULL OR own = 0, weight, weight_self) >= 2""",
    """CREATE OR REPLACE TABLE hand_totals AS SELECT account, sum(least(280, best * 10 + (whole - best) * 3)) // 10
    AS bits,
    sum(least(280, firm_best * 10 + (firm_whole - firm_best) * 3)) // 10 AS firm_bits, count(DISTINCT "group") AS
    groups FROM (
        SELECT account, family, "group", max(weight) AS best, sum(weight) AS whole, max(if(firm, weight, 0)) AS
        firm_best,
            sum(if(firm, weight, 0)) AS firm_whole FROM hand_evidence GROUP BY ALL) GROUP BY account""",
    """CREATE OR REPLACE TABLE hand_left AS SELECT account, min(bits) AS left FROM (
        SELECT account, root, sum(least(280, best * 10 + (whole - best) * 3)) // 10 AS bits FROM (
            SELECT account, root, family, max(weight) AS best, sum(weight) AS whole FROM (
                SELECT found.account, pairs.root, found.family,
                    if(coalesce(without.weight, found.weight) >= 2, coalesce(without.weight, found.weight), 0) AS weight
                FROM hand_evidence AS found JOIN (SELECT DISTINCT account, root FROM hand_evidence
                    SEMI JOIN (SELECT account FROM hand_totals WHERE bits >= $cap) USING (account)
                    JOIN hand_without USING (type, value)) AS pairs USING (account)
                LEFT JOIN hand_without AS without USING (type, value, root)) GROUP BY ALL) GROUP BY ALL) GROUP BY
                account""",
    """CREATE OR REPLACE TABLE hand_flags AS SELECT account, least(bits, coalesce("left" + $cap, bits)) AS bits
    FROM hand_totals
    LEFT JOIN hand_left USING (account) WHERE least(firm_bits, coalesce("left" + $cap, firm_bits)) >= 30 AND groups
    >= 2""",
    """CREATE OR REPLACE TABLE hand_rests AS SELECT account, count(DISTINCT root) AS judgements, min(root) AS root
    FROM (
        SELECT found.account, signals.root FROM hand_evidence AS found
            SEMI JOIN (SELECT account FROM hand_totals WHERE bits >= 12) USING (account)
            JOIN signals USING (type, value)
        UNION ALL SELECT found.account, -1 FROM hand_evidence AS found
            SEMI JOIN (SELECT account FROM hand_totals WHERE bits >= 12) USING (account)
            JOIN hand_weights USING (type, value) WHERE own > 0) GROUP BY account""",
)


def run_by_hand(connection: duckdb.DuckDBPyConnection, cap: int) -> None:
    """Run the round; `hand_flags` holds account and bits. `cap` is the rule of one judgement, in steps."""
    for statement in STATEMENTS:
        connection.execute(statement.replace("$cap", str(cap)))
