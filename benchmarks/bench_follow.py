"""A follower catching up: fetch, verify every leaf, store; against a bare Core upsert of the same rows.

Product: the follower's service with its real network adapter does one round with a real node process that holds the
log: it fetches over gRPC and mutual TLS, checks every header, body and leaf, the tree and the checkpoint, cosigns, and
stores all of it in one transaction, on SQLite with synchronous FULL. Primitive: `bare_core.py`.
"""

from __future__ import annotations

import itertools
import tempfile
import time
from contextlib import ExitStack
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
TARGET = 0.6


async def catch_up(member: Member, origin: MemberId) -> float:
    """Do one round with the origin; return how long it took. Raises if anything of it went wrong."""
    membership = member.base.membership
    identity = load_identity(member.config, member.keys, membership.charter, now())
    peers = GrpcPeers(
        charter=lambda: membership.charter,
        identity=lambda: identity,
        executor=member.curve,
        monotonic=member.base.clock.monotonic,
    )
    following = member.with_peers(peers).following
    await peers.checkpoints(origin)  # the connection stands before the clock starts
    began = time.perf_counter()
    await following.round(origin)
    took = time.perf_counter() - began
    await peers.close()
    if following.peer(origin).problem:
        raise RuntimeError(following.peer(origin).problem)
    return took


def main() -> None:
    """Measure and tell."""
    parser = measure.arguments(NAME, __doc__ or "")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--entries", type=int, default=100_000, help="entries of the log that is followed")
    options = parser.parse_args()
    if options.smoke:
        options.rounds, options.entries = 1, 200

    entries: int = options.entries
    with ExitStack() as closing:
        homes = closing.enter_context(founded(2, threshold=1, tick_seconds=3_600))
        origin, follower = homes
        folder = Path(closing.enter_context(tempfile.TemporaryDirectory(prefix="tocsin-bench-")))
        period = charter_of(origin).period_at(now())
        with opened(origin) as member:
            for batch in batches_of(sealed_entries(period, now(), entries), 20_000):
                member.publish(batches_of(batch, 1_000))
        nodes = closing.enter_context(Nodes([origin]))
        processes = [process.pid for process in nodes.processes.values()]
        numbers = itertools.count()
        spent, bare_spent = 0.0, 0.0

        def product() -> float:
            nonlocal spent
            with opened(follower, f"sqlite:///{folder}/{next(numbers)}.db") as member:
                used = time.process_time()
                took = member.run(catch_up(member, MemberId(origin.id)))
                spent += time.process_time() - used
                with member.store.read() as snapshot:
                    if snapshot.tip(MemberId(origin.id)).size < entries:
                        raise RuntimeError("the follower did not catch up")
            return entries / took

        def primitive() -> float:
            nonlocal bare_spent
            core = SqliteCore(f"{folder}/{next(numbers)}.db")
            took = 0.0
            for part in rows_for(sealed_entries(period, now(), entries), follower.id):
                began, used = time.perf_counter(), time.process_time()
                core.upsert(part)
                took += time.perf_counter() - began
                bare_spent += time.process_time() - used
            core.close()
            return entries / took

        served = measure.cpu_of(processes)
        made, bare = measure.in_turns(options.rounds, product, primitive)
        served = measure.cpu_of(processes) - served
        ratio = measure.median(made) / measure.median(bare)
        followed = entries * options.rounds
        measure.tell(
            NAME,
            [
                measure.Figure(
                    f"catching up {entries:,} entries from a real node, SQLite FULL",
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
                )
            ],
            samples=options.rounds,
            cpu_seconds=spent,
            peak=measure.peak_mib(processes),
        )


if __name__ == "__main__":
    main()
