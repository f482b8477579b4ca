"""What a node's log costs as it grows: start, status, look-up, submit to sequenced, week turn, memory at each size.

Product: one member's services on its own SQLite database (synchronous FULL), grown by what it publishes. At each size
the database is closed and opened again; then each thing is done and timed. The week turn is measured last, on an eighth
of the bodies, with another write every 5 ms. There is no primitive: each size is compared with the smallest one.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sqlite3
import time
from contextlib import ExitStack, closing

import measure
from member import Member, batches_of, opened, sealed_entries

from federation import charter_of, founded
from tocsin.client.system import now
from tocsin.localnet.federation import Home
from tocsin.tlog.entry import TAG_BYTES

NAME = "growth"
SIZES = (100_000, 1_000_000, 10_000_000)
START_S, TURN_MIB, DEARER = 3.0, 256.0, 3.0
TAGS, PAUSE_S = 1_000, 0.005


def grow(member: Member, period: int, count: int) -> None:
    """Publish this many entries."""
    while count > 0:
        size = min(20_000, count)
        member.publish(batches_of(sealed_entries(period, now(), size), 1_000))
        count -= size


def at_size(home: Home, period: int) -> dict[str, float]:
    """Open the member's services and do each thing once or a few times; seconds, and MiB."""
    gc.collect()
    before = measure.reset_peak()
    with ExitStack() as leaving:
        began = time.perf_counter()
        member = leaving.enter_context(opened(home))
        figures = {"start s": time.perf_counter() - began}
        services = member.services
        figures["status ms"] = 1e3 * measure.median(
            measure.seconds(lambda: member.run(services.status.status("bench"))) for _ in range(9)
        )
        with member.store.read() as snapshot:
            known = snapshot.new_tags(member.id, 0, TAGS // 2, 2**32 - 1).tags
        tags = known + os.urandom(TAG_BYTES * TAGS // 2)
        figures["look-up ms"] = 1e3 * measure.median(
            measure.seconds(lambda: member.run(services.looking_up.look_up([(member.id, tags)])))
            for _ in range(9)
        )
        figures["submit to sequenced ms"] = 1e3 * measure.median(
            measure.seconds(lambda: member.publish([sealed_entries(period, now(), 1_000)])) for _ in range(9)
        )
        figures["MiB"] = measure.peak_since_reset() - before
    return figures


def turn_of_a_week(home: Home, count: int) -> dict[str, float]:
    """Erase this many bodies as if they had expired, with other writes meanwhile."""
    gc.collect()
    with opened(home) as member:
        database = member.config.folder / "node.db"
        gateway = member.base.gateway
        longest, expiring = 0.0, member.services.expiring
        expiring._week = 0  # as before the turn
        with member.store.write() as transaction:
            transaction._connection.exec_driver_sql(  # type: ignore[attr-defined] # made due, as time would
                "UPDATE body SET not_after = 1 WHERE leaf_index < ?", (count,)
            )

        # That one transaction is no part of what is measured: what it left in the write-ahead log goes first.
        with closing(sqlite3.connect(database)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

        async def both() -> int:
            async def write() -> None:
                nonlocal longest
                while True:
                    asked = time.perf_counter()
                    await gateway.write(lambda transaction: transaction.record("bench", "", b"", 0))
                    longest = max(longest, time.perf_counter() - asked)
                    await asyncio.sleep(PAUSE_S)

            writing = asyncio.create_task(write())
            erased = await expiring.erase()
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
            return erased

        gc.collect()
        before, began = measure.reset_peak(), time.perf_counter()
        erased = member.run(both())
        took = time.perf_counter() - began
        return {
            "erased": erased,
            "week turn s": took,
            "longest write s": longest,
            "week turn MiB": measure.peak_since_reset() - before,
            "write-ahead log MiB": (database.with_name("node.db-wal")).stat().st_size / 2**20,
        }


def main() -> None:
    """Measure and tell."""
    parser = measure.arguments(NAME, __doc__ or "")
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), help="entries, ascending")
    options = parser.parse_args()
    if options.smoke:
        options.sizes = [2_000, 6_000]
    used = time.process_time()
    with ExitStack() as leaving:
        home = leaving.enter_context(founded(1, threshold=1, tick_seconds=60))[0]
        period = charter_of(home).period_at(now())
        found: dict[int, dict[str, float]] = {}
        size = 0
        for wanted in options.sizes:
            with opened(home) as member:
                member.services.publishing._allowed = lambda *_: 10**9  # type: ignore[method-assign] # grown at once
                grow(member, period, wanted - size)
            size = wanted
            found[size] = at_size(home, period)
            print(
                f"{NAME}: {size:,} entries: "
                + ", ".join(f"{name} {value:.3g}" for name, value in found[size].items())
            )
        turn = turn_of_a_week(home, size // 8)
        print(f"{NAME}: " + ", ".join(f"{name} {value:.4g}" for name, value in turn.items()))
    first, last = found[options.sizes[0]], found[size]
    figures = [
        measure.Figure(
            f"start with {size:,} entries",
            "s",
            last["start s"],
            first["start s"],
            last["start s"] / first["start s"],
            f"≤ {START_S} s",
            last["start s"] <= START_S,
            {},
        ),
        measure.Figure(
            f"memory while a week turns with {turn['erased']:,.0f} due",
            "MiB",
            turn["week turn MiB"],
            0.0,
            0.0,
            f"≤ {TURN_MIB:.0f} MiB",
            turn["week turn MiB"] <= TURN_MIB,
            turn,
        ),
    ]
    for name in ("status ms", "look-up ms", "submit to sequenced ms"):
        ratio = last[name] / first[name]
        figures.append(
            measure.Figure(
                f"{name.rpartition(' ')[0]}, {size:,} entries against {options.sizes[0]:,}",
                "ms",
                last[name],
                first[name],
                ratio,
                f"≤ {DEARER} times dearer",
                ratio <= DEARER,
                {},
            )
        )
    measure.tell(
        NAME,
        figures,
        samples=9,
        cpu_seconds=time.process_time() - used,
        peak=measure.peak_mib(),
        more={"sizes": {str(at): values for at, values in found.items()}},
    )


if __name__ == "__main__":
    main()
