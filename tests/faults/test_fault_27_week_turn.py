"""The turn of a week with many bodies due, on a real SQLite file: in pieces, in flat memory, writes going on."""

from __future__ import annotations

import asyncio
import resource
from pathlib import Path

import pytest

from tests.fakes.federation import founded, member_id
from tocsin.node.service.expiring import MOST
from tocsin.node.storage.open import open_store
from tocsin.tlog.entry import WEEK_S

pytestmark = pytest.mark.slow
ENTRIES = 60_000


def test_writes_go_on_while_a_week_turns(tmp_path: Path) -> None:
    with founded(1, c=1, t=1) as federation:
        store = open_store(f"sqlite:///{tmp_path}/node.db", "fake.test", member_id(1))
        node = federation.open_node(1, store)
        for batch in range(ENTRIES // 1_000):
            entries = [
                federation.entry(bytes([batch]) + number.to_bytes(15, "big"), days=0)
                for number in range(1_000)
            ]
            asyncio.run(node.publishing.submit(batch.to_bytes(16, "big"), entries))
        while asyncio.run(node.publishing.tick()).full:
            pass
        turn = (federation.clock.now() // WEEK_S + 1) * WEEK_S
        federation.clock.turn_to(turn)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        written = 0

        async def both() -> int:
            nonlocal written

            async def write() -> None:
                nonlocal written
                while True:
                    await node.gateway.write(lambda transaction: transaction.record("other", "", b"", turn))
                    written += 1

            writing = asyncio.create_task(write())
            erased = await node.expiring.erase()
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
            return erased

        assert asyncio.run(both()) == ENTRIES
        assert written >= ENTRIES // MOST
        assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024 < 64
        wal = (tmp_path / "node.db-wal").stat().st_size
        assert wal < 128 * 2**20
        with store.read() as snapshot:
            assert snapshot.new_tags(member_id(1), 0, 10, 2**32 - 1).indices == ()
            assert snapshot.tip(member_id(1)).size >= ENTRIES
        for base in federation.opened:
            base.close()
        store.close()
