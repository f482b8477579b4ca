"""A round of detection at the full scale: time and memory, against the same joins written by hand in DuckDB's SQL.

1. A million benign and 25,000 hostile accounts at five providers of unequal size, about five million holdings.
   Each provider's
   round is run one after the other; what is told is their sum, weights to flags to campaigns' values.
2. The hand-written round must flag the same accounts: it is compared before it is timed.
3. Growth: the same at 0.1, 0.3, 1 and 4 times the scale.
"""

from __future__ import annotations

import time

import duckdb
import measure
from detect_by_hand import run_by_hand

from tocsin.detect.rounds import Columns, plan, run
from tocsin.detect.rules import DEFAULT

NAME = "detect"
SHARES = (0.40, 0.25, 0.18, 0.12, 0.05)
COLUMNS = Columns(account="int32", type="int16", value="int64", member="int16")
_TYPES = (
    (0, "address", "network", 0), (1, "address", "network", 0), (2, "mail", "person", 0), (3, "phone", "person", 28),
    (4, "template", "tooling", 0),
)  # fmt: skip


def fill(connection: duckdb.DuckDBPyConnection, share: float, scale: float) -> int:
    """Make one provider's tables: five values an account, a hundredth of them shared by a campaign; return the
    holdings."""
    benign, hostile = round(1_000_000 * scale * share), max(60, round(25_000 * scale * share))
    run_sql = connection.execute
    for table in ("holdings", "accounts", "judged", "signals", "reporters", "trusted", "types"):
        run_sql(f"DROP TABLE IF EXISTS {table}")
    run_sql(f"""CREATE TABLE holdings AS SELECT account::INTEGER AS account, type::SMALLINT AS type, CASE
            WHEN account < {hostile} THEN -(hash(account * 7 + type) % greatest(3, {hostile} // 20) + type *
            10000000)::BIGINT - 1
            WHEN type = 0 THEN (hash(account) % {max(1, benign // 3)})::BIGINT
            WHEN type = 1 THEN (hash(account) % {max(1, benign // 60)})::BIGINT
            WHEN type = 4 THEN (hash(account * 3) % 5000)::BIGINT ELSE account::BIGINT END AS value,
        (hash(account) % 30)::INTEGER AS first_day, 44::INTEGER AS last_day
        FROM range({benign + hostile}) AS a(account), range(5) AS t(type)""")
    # A few innocents share a campaign's value each, so that it is not all black and white.
    run_sql(f"""INSERT INTO holdings SELECT account + {hostile}, type, value, 0, 44 FROM holdings
        WHERE account < {min(hostile, benign) // 2} AND type IN (0, 3)""")
    run_sql(f"""CREATE TABLE accounts AS SELECT account::INTEGER AS account, if(account < {hostile}, 20,
        (hash(account) % 900)::BIGINT)::BIGINT AS age_days FROM range({benign + hostile}) AS a(account)""")
    run_sql(f"""CREATE TABLE judged AS SELECT account::INTEGER AS account, 1::TINYINT AS state, 1::TINYINT AS abuse
        FROM range({hostile}) AS a(account) WHERE hash(account) % 10 = 0""")
    run_sql(f"""CREATE TABLE signals AS SELECT DISTINCT type, value, reporter::SMALLINT AS reporter,
    reporter::SMALLINT AS root,
            1::TINYINT AS abuse, 2::BIGINT AS accounts, 0::BIGINT AS hops, 100::BIGINT AS confidence, 0::BIGINT AS
            disputed,
            0::INTEGER AS first_day, 41::INTEGER AS last_day
        FROM holdings, range(1, 5) AS r(reporter) WHERE account < {hostile} AND hash(account + reporter) % 8 = 0""")
    run_sql(f"""CREATE TABLE reporters AS SELECT DISTINCT reporter, type, {max(4, hostile // 8)}::BIGINT AS total,
        {max(4, hostile // 8)}::BIGINT AS counted FROM signals""")
    run_sql("CREATE TABLE trusted (root SMALLINT)")
    run_sql('CREATE TABLE types (type SMALLINT, family VARCHAR, "group" VARCHAR, slack_days INTEGER)')
    connection.executemany("INSERT INTO types VALUES (?, ?, ?, ?)", [list(row) for row in _TYPES])
    (count,) = run_sql("SELECT count(*) FROM holdings").fetchone() or (0,)
    return int(count)


def at_scale(scale: float, rounds: int) -> tuple[float, float, int, int]:
    """Return seconds of the product's rounds and of the ones by hand, holdings, and flags."""
    stages = plan(COLUMNS, DEFAULT)
    product = hand = 0.0
    held = flagged = 0
    for share in SHARES:
        with duckdb.connect(
            config={"threads": 2, "memory_limit": "3GB", "preserve_insertion_order": "false"}
        ) as connection:
            held += fill(connection, share, scale)
            run(connection, stages)
            run_by_hand(connection, DEFAULT.one_judgement)
            differ = connection.execute("""SELECT count(*) FROM (SELECT account, bits FROM scores WHERE flag = 1) AS one
                FULL JOIN hand_flags USING (account) WHERE one.bits IS DISTINCT FROM hand_flags.bits""").fetchone()
            if differ != (0,):
                raise SystemExit(f"the two rounds flag {differ[0] if differ else '?'} accounts differently")
            (count,) = connection.execute("SELECT count(*) FROM hand_flags").fetchone() or (0,)
            flagged += count
            samples = measure.in_turns(
                rounds,
                lambda: measure.seconds(lambda: run(connection, stages)),
                lambda: measure.seconds(lambda: run_by_hand(connection, DEFAULT.one_judgement)),
            )
            product += measure.median(samples[0])
            hand += measure.median(samples[1])
    return product, hand, held, flagged


def main() -> None:
    """Measure and tell."""
    parser = measure.arguments(NAME, __doc__ or "")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--scales", type=float, nargs="+", default=[0.1, 0.3, 1.0, 4.0], help="scale 1 is told first"
    )
    options = parser.parse_args()
    scales = [0.01] if options.smoke else options.scales
    began = time.process_time()
    found = {scale: at_scale(scale, 1 if options.smoke else options.rounds) for scale in scales}
    head = 1.0 if 1.0 in found else scales[-1]
    product, hand, held, flagged = found[head]
    peak = measure.peak_mib()
    growth = {
        f"seconds at {scale:g}×": seconds for scale, (seconds, _, _, _) in found.items() if scale != head
    }
    figures = [
        measure.Figure(
            what=f"a round at all five providers, {held:,} holdings, {flagged:,} flags", unit="s", product=product,
            primitive=hand, ratio=product / hand, target="≤ 1.3, ≤ 15 s, ≤ 4 GiB",
            met=product / hand <= 1.3 and product <= 15 and peak <= 4096, more=growth | {"peak MiB": peak},
        )
    ]  # fmt: skip
    measure.tell(NAME, figures, samples=options.rounds, cpu_seconds=time.process_time() - began, peak=peak)


if __name__ == "__main__":
    main()
