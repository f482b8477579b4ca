"""Durable submits of reports in batches of 1,000, sequencing included, against a bare Core upsert of the same rows.

Product: the node's publishing service on a real store: each batch committed with its idempotency key before it is
acknowledged, then a tick that orders, hashes and appends everything, signs the checkpoint, and commits. Primitive:
`bare_core.py`. Both on SQLite with synchronous FULL, then both on a PostgreSQL server that syncs to its disk.
"""

from __future__ import annotations

import itertools
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from hashlib import sha256
from pathlib import Path

import measure
from bare_core import PostgresCore, Rows, SqliteCore, rows_of
from member import batches_of, opened, sealed_entries

from federation import charter_of, founded
from tocsin.client.system import now
from tocsin.localnet.federation import Home
from tocsin.node.model import Append
from tocsin.node.storage.rows import completed_nodes
from tocsin.tlog.entry import Entry
from tocsin.tlog.merkle import Frontier
from tocsin.wire.values import MemberId, Stored

NAME = "publish"
TARGET = 0.7


def rows_for(entries: list[Entry], member: bytes, start: int = 0) -> list[Rows]:
    """Return the rows that publishing these entries leaves behind, at places from `start` on."""
    stored = [
        Stored(start + at, entry, sha256(entry.body_bytes()).digest()) for at, entry in enumerate(entries)
    ]
    frontier, nodes = Frontier().append([entry.leaf_hash() for entry in stored])
    append = Append(MemberId(member), 0, stored, nodes, frontier, b"", 0)
    return rows_of(stored, completed_nodes(append))


def compare(
    what: str,
    home: Home,
    new_url: Callable[[], str],
    new_core: Callable[[], SqliteCore | PostgresCore],
    turns: tuple[int, int, int],
) -> tuple[measure.Figure, float]:
    """Return the figure of one database, and the CPU seconds of the product's turns."""
    rounds, batches, size = turns
    spent, bare_spent = 0.0, 0.0
    count, period = batches * size, charter_of(home).period_at(now())

    def product() -> float:
        nonlocal spent
        work = batches_of(sealed_entries(period, now(), count), size)
        with opened(home, new_url()) as member:
            member.publish([])  # the first tick logs the charter
            began, used = time.perf_counter(), time.process_time()
            member.publish(work)
            rate = count / (time.perf_counter() - began)
            spent += time.process_time() - used
            with member.store.read() as snapshot:
                if snapshot.tip(member.id).size < count:
                    raise RuntimeError("not everything was sequenced")
        return rate

    def primitive() -> float:
        nonlocal bare_spent
        rows = rows_for(sealed_entries(period, now(), count), home.id)
        core = new_core()
        began, used = time.perf_counter(), time.process_time()
        for part in rows:
            core.upsert(part)
        rate = count / (time.perf_counter() - began)
        bare_spent += time.process_time() - used
        core.close()
        return rate

    made, bare = measure.in_turns(rounds, product, primitive, warm_up=1 if rounds > 1 else 0)
    ratio = measure.median(made) / measure.median(bare)
    entries = (rounds + (rounds > 1)) * count
    figure = measure.Figure(
        f"{what}, batches of {size:,}, sequenced",
        "entries/s",
        measure.median(made),
        measure.median(bare),
        ratio,
        f"≥ {TARGET} of a bare upsert",
        ratio >= TARGET,
        {"CPU µs an entry": spent / entries * 1e6, "of the bare upsert": bare_spent / entries * 1e6},
    )
    return figure, spent


def main() -> None:
    """Measure and tell."""
    parser = measure.arguments(NAME, __doc__ or "")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batches", type=int, default=20, help="batches before the tick")
    parser.add_argument("--size", type=int, default=1_000, help="entries of a batch")
    parser.add_argument("--sqlite-only", action="store_true", help="leave PostgreSQL out")
    options = parser.parse_args()
    if options.smoke:
        options.rounds, options.batches, options.size = 1, 2, 50
    turns = options.rounds, options.batches, options.size

    with ExitStack() as closing:
        home = closing.enter_context(founded(1, threshold=1, tick_seconds=60))[0]
        folder = Path(closing.enter_context(tempfile.TemporaryDirectory(prefix="tocsin-bench-")))
        numbers = itertools.count()
        figure, spent = compare(
            "SQLite, synchronous FULL",
            home,
            lambda: f"sqlite:///{folder}/{next(numbers)}.db",
            lambda: SqliteCore(f"{folder}/{next(numbers)}.db"),
            turns,
        )
        figures = [figure]
        if not (options.sqlite_only or options.smoke):
            from durable_postgres import DurableServer, PostgresMissing

            try:
                server = closing.enter_context(DurableServer())
            except PostgresMissing as missing:
                print(f"{NAME}: PostgreSQL is left out: {missing}", file=sys.stderr)
            else:
                figure, more = compare(
                    "PostgreSQL, synchronous_commit on",
                    home,
                    server.new_database,
                    lambda: PostgresCore(server.new_database()),
                    turns,
                )
                figures.append(figure)
                spent += more
    measure.tell(NAME, figures, samples=options.rounds, cpu_seconds=spent, peak=measure.peak_mib())


if __name__ == "__main__":
    main()
