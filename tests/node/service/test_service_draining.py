"""A backlog larger than one tick is sequenced at once, and writes return from one wake-up."""

import asyncio
from dataclasses import replace

import pytest

from tests.fakes.federation import PUBLISHING, founded
from tocsin.node.service.errors import ExpiredEntry
from tocsin.tlog.entry import WEEK_S


def test_a_backlog_does_not_wait_for_the_next_tick() -> None:
    with founded() as federation:
        node = federation.open_node(1, publishing=replace(PUBLISHING, most_per_tick=2, tick_seconds=3_600))

        async def scenario() -> list[int]:
            for number in range(7):
                entry = federation.entry(bytes([number]) * 16)
                await node.publishing.submit(number.to_bytes(16, "big"), [entry])
            running = asyncio.create_task(node.publishing.run())
            async with asyncio.timeout(10):
                # An hour's tick: whatever comes in this time came without waiting for it.
                while not (found := (await node.publishing.submission((6).to_bytes(16, "big"))).indices):
                    await asyncio.sleep(0)
            running.cancel()
            return found

        assert asyncio.run(scenario()) != []


def test_many_writes_at_once_all_return() -> None:
    with founded() as federation:
        node = federation[1]

        async def scenario() -> list[int]:
            made = [
                node.publishing.submit(number.to_bytes(16, "big"), [federation.entry(bytes([number]) * 16)])
                for number in range(200)
            ]
            return [acknowledged.count for acknowledged in await asyncio.gather(*made)]

        # Each on an event loop of its own, as a node that is restarted within one process.
        assert asyncio.run(scenario()) == [1] * 200
        assert asyncio.run(scenario()) == [1] * 200


def test_a_cancelled_write_is_not_waited_for_and_harms_no_other() -> None:
    with founded() as federation:
        node = federation[1]

        async def scenario() -> None:
            entries = [federation.entry(bytes([number]) * 16) for number in range(20)]
            tasks = [
                asyncio.create_task(node.publishing.submit(number.to_bytes(16, "big"), [entry]))
                for number, entry in enumerate(entries)
            ]
            await asyncio.sleep(0)
            tasks[3].cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert isinstance(results[3], asyncio.CancelledError)
            assert [error for error in results if isinstance(error, Exception)] == []

        asyncio.run(scenario())


def test_a_known_submission_is_acknowledged_again_after_its_entries_expired() -> None:
    with founded() as federation:
        node = federation[1]
        entry = federation.entry(b"\x07" * 16)

        async def scenario() -> None:
            await node.publishing.submit(bytes(16), [entry])
            federation.clock.advance(10 * WEEK_S)
            assert (await node.publishing.submit(bytes(16), [entry])).repeated
            with pytest.raises(ExpiredEntry):
                await node.publishing.submit(bytes(15) + b"\x01", [entry])

        asyncio.run(scenario())
