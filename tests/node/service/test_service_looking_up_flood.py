"""A writer that repeats one tag without end must not make look-ups too large to be answered."""

import asyncio

from tests.fakes.federation import founded, member_id
from tocsin.wire.limits import MAX_HIT_INDICES

TAG, OTHER = bytes([7]) * 16, bytes([8]) * 16


def test_a_look_up_gives_the_newest_entries_of_a_tag() -> None:
    with founded() as federation:
        writer, node = federation[1], federation[2]
        count = MAX_HIT_INDICES + 10
        entries = [federation.entry(TAG) for _ in range(count)] + [federation.entry(OTHER)]
        asyncio.run(writer.publishing.submit(bytes(16), entries))
        asyncio.run(writer.publishing.tick())
        asyncio.run(node.following.round(member_id(1)))
        flooded, other = asyncio.run(node.looking_up.look_up([(member_id(1), TAG + OTHER)]))
        assert flooded.indices == tuple(range(10, count))
        assert other.indices == (count,)
        # A retraction still covers all of them.
        asyncio.run(writer.publishing.retract(bytes([1]) * 16, [TAG]))
        federation.clock.advance(60)
        asyncio.run(writer.publishing.tick())
        asyncio.run(node.following.round(member_id(1)))
        assert [
            hit.position for hit in asyncio.run(node.looking_up.look_up([(member_id(1), TAG + OTHER)]))
        ] == [1]
