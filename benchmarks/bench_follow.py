"""A follower catching up in steps: fetch, verify every leaf, store; against a bare Core upsert of the same rows.

Product: the follower's service with its real network adapter follows real node processes that hold the logs, all of
them beside each other: it fetches over gRPC and mutual TLS, checks every header, body, leaf and checkpoint, cosigns,
and stores each step in a transaction of its own, on SQLite with synchronous FULL. Meanwhile something else is written
every 5 ms, and the longest that it took is told, with the memory above that at the start. Primitive: `bare_core.py`.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import measure
from bare_core import SqliteCore
from bench_publish import rows_for
from member import Member, batches_of, opened, sealed_entries

from federation import charter_of, founded
from tocsin.client.system import now
from tocsin.localnet.federation import Nodes
from tocsin.node.keys import load_identity
from tocsin.node.rpc.peers import GrpcPeers
from tocsin.wire.values import MemberId

NAME = "follow"
TARGET = 0.7
MOST_MIB = 256
LONGEST_BLOCK_S = 0.25
PAUSE_S = 0.005


@dataclass(frozen=True)
class CaughtUp:
    """Seconds that it took, MiB above the start, and the longest that another write took, seconds."""

    seconds: float
    above_mib: float
    longest_write: float


async def catch_up(member: Member, origins: Sequence[MemberId]) -> CaughtUp:
    """Follow the origins to their ends. Raises if anything of it went wrong."""
    membership = member.base.membership
    identity = load_identity(member.config, member.keys, membership.charter, now())
    peers = GrpcPeers(
        charter=lambda: membership.charter,
        identity=lambda: identity,
        executor=member.curve,
        monotonic=member.base.clock.monotonic,
        heard=member.base.clock.heard,
    )
    following = member.with_peers(peers).following
    for origin in origins:
        await peers.checkpoints(origin)  # the connection stands before the clock starts
    longest = 0.0

    async def write_meanwhile() -> None:
        nonlocal longest
        while True:
            asked = time.perf_counter()
            await member.base.gateway.write(lambda transaction: transaction.record("bench", "", b"", 0))
            longest = max(longest, time.perf_counter() - asked)
            await asyncio.sleep(PAUSE_S)

    async def follow(origin: MemberId) -> None:
        while True:
            await following.round(origin)
            if following.peer(origin).problem:
                raise RuntimeError(following.peer(origin).problem)
            if not following.peer(origin).progress.behind:
                return

    gc.collect()
    before = measure.reset_peak()
    writing = asyncio.create_task(write_meanwhile())
    began = time.perf_counter()
    await asyncio.gather(*(follow(origin) for origin in origins))
    took = time.perf_counter() - began
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)
    await peers.close()
    return CaughtUp(took, measure.peak_since_reset() - before, longest)


def main() -> None:
    """Measure and tell."""
    parser = measure.arguments(NAME, __doc__ or "")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--entries", type=int, default=1_000_000, help="entries of each log that is followed")
    parser.add_argument("--origins", type=int, default=1, help="logs that are followed beside each other")
    options = parser.parse_args()
    if options.smoke:
        options.rounds, options.entries = 1, 2_200

    entries: int = options.entries
    total: int = entries * options.origins
    with ExitStack() as closing:
        homes = closing.enter_context(founded(options.origins + 1, threshold=1, tick_seconds=3_600))
        *origins, follower = homes
        folder = Path(closing.enter_context(tempfile.TemporaryDirectory(prefix="tocsin-bench-")))
        period = charter_of(follower).period_at(now())
        for origin in origins:
            with opened(origin) as member:
                for start in range(0, entries, 20_000):
                    fresh = sealed_entries(period, now(), min(20_000, entries - start))
                    member.publish(batches_of(fresh, 1_000))
        nodes = closing.enter_context(Nodes(origins))
        processes = [process.pid for process in nodes.processes.values()]
        numbers = itertools.count()
        spent, bare_spent = 0.0, 0.0
        caught_up: list[CaughtUp] = []

        def product() -> float:
            nonlocal spent
            with opened(follower, f"sqlite:///{folder}/{next(numbers)}.db") as member:
                used = time.process_time()
                caught_up.append(member.run(catch_up(member, [MemberId(origin.id) for origin in origins])))
                spent += time.process_time() - used
                with member.store.read() as snapshot:
                    if any(snapshot.tip(MemberId(origin.id)).size < entries for origin in origins):
                        raise RuntimeError("the follower did not catch up")
            return total / caught_up[-1].seconds

        def primitive() -> float:
            nonlocal bare_spent
            core = SqliteCore(f"{folder}/{next(numbers)}.db")
            took = 0.0
            for start in range(0, total, 20_000):
                fresh = sealed_entries(period, now(), min(20_000, total - start))
                for part in rows_for(fresh, follower.id, start):
                    began, used = time.perf_counter(), time.process_time()
                    core.upsert(part)
                    took += time.perf_counter() - began
                    bare_spent += time.process_time() - used
            core.close()
            return total / took

        served = measure.cpu_of(processes)
        made, bare = measure.in_turns(options.rounds, product, primitive, warm_up=0)
        served = measure.cpu_of(processes) - served
        ratio = measure.median(made) / measure.median(bare)
        followed = total * options.rounds
        above = max(one.above_mib for one in caught_up)
        longest = max(one.longest_write for one in caught_up)
        measure.tell(
            NAME,
            [
                measure.Figure(
                    f"catching up {entries:,} entries of each of {options.origins} logs, SQLite FULL",
                    "entries/s",
                    measure.median(made),
                    measure.median(bare),
                    ratio,
                    f"≥ {TARGET} of a bare upsert",
                    ratio >= TARGET,
                    {
                        "follower's CPU µs an entry": spent / followed * 1e6,
                        "origin's": served / followed * 1e6,
                        "of the bare upsert": bare_spent / followed * 1e6,
                    },
                ),
                measure.Figure(
                    "memory above the start",
                    "MiB",
                    above,
                    0.0,
                    0.0,
                    f"≤ {MOST_MIB}",
                    above <= MOST_MIB,
                    {},
                ),
                measure.Figure(
                    "longest block of another write",
                    "s",
                    longest,
                    0.0,
                    0.0,
                    f"≤ {LONGEST_BLOCK_S}",
                    longest <= LONGEST_BLOCK_S,
                    {},
                ),
            ],
            samples=options.rounds,
            cpu_seconds=spent,
            peak=measure.peak_mib(processes),
        )


if __name__ == "__main__":
    main()
