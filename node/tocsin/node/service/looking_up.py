"""Which tags exist, and which are new. The node keeps nothing of what its client asks (M-7.6).

1. A look-up costs by the tags asked, never by what others have reported. Entries past their time are left out.
   Of a tag that its writer repeats without end only the newest are returned, so that the answer stays bounded
   (M-7.3).
2. A quarantined log has no matches: look-ups find nothing in it, streams skip it, its entries are not served (M-6.20).
3. A stream reads every followed log from its cursor, says when nothing more waits, and sleeps until a commit. It stops
   before the first entry of a period newer than the client named (M-7.5). Its cursor lives in the stream alone.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from functools import partial

from tocsin.node.model import LiveTags
from tocsin.node.ports import Clock, Snapshot
from tocsin.node.service.errors import InvalidCursor, OutOfRange, TooManyLocations, TooManyTags, UnknownLog
from tocsin.node.service.log_reader import known_tip
from tocsin.node.service.membership import Membership
from tocsin.node.service.notifications import ChangeNotifications
from tocsin.node.service.store_gateway import StoreGateway
from tocsin.tlog.entry import TAG_BYTES, WEEK_S
from tocsin.tlog.merkle import inclusion_proof, plan_inclusion
from tocsin.wire.limits import MAX_HIT_INDICES, MAX_LOCATIONS, MAX_STREAMED_TAGS, MAX_TAGS
from tocsin.wire.values import MemberId, NewTags, ProvenEntries, ProvenEntry, TagHit


class LookingUp:
    """What this member's client asks about every log. `expired_week` returns the week up to which bodies are erased."""

    def __init__(
        self,
        member: MemberId,
        membership: Membership,
        gateway: StoreGateway,
        notifications: ChangeNotifications,
        clock: Clock,
        expired_week: Callable[[], int],
    ) -> None:
        self._member = member
        self._membership = membership
        self._gateway = gateway
        self._notifications = notifications
        self._clock = clock
        self._expired_week = expired_week

    async def look_up(self, groups: Sequence[tuple[MemberId, bytes]]) -> list[TagHit]:
        """Return the live entries under concatenated 16-byte tags, per writer, the newest 64 of a tag.

        Raises `TooManyTags` or `UnknownLog`.
        """
        if any(len(tags) % TAG_BYTES for _, tags in groups):
            raise TooManyTags(f"tags are {TAG_BYTES} bytes each", "tags")
        if sum(len(tags) for _, tags in groups) > MAX_TAGS * TAG_BYTES:
            raise TooManyTags(f"at most {MAX_TAGS} tags are looked up in one call; split the request", "tags")
        members = {member.id for member in self._membership.charter.members}
        now = self._clock.now()

        def look(snapshot: Snapshot) -> list[TagHit]:
            held = set(snapshot.members())
            asked: list[tuple[MemberId, bytes]] = []
            for position, (writer, tags) in enumerate(groups):
                if writer not in held and writer not in members:
                    raise UnknownLog(f"this node holds no log of {writer.hex()}", f"tags[{position}].writer")
                asked.append((writer, b"" if snapshot.tip(writer).quarantined else tags))
            # M-7.3: of each tag the newest.
            if now // WEEK_S <= self._expired_week():
                return snapshot.newest(asked, MAX_HIT_INDICES)
            # Between the turn of a week and the next tick, bodies are still stored that have expired.
            return [
                TagHit(hit.group, hit.position, hit.indices[-MAX_HIT_INDICES:])
                for hit in _without_expired(snapshot, asked, snapshot.look_up(asked), now)
            ]

        return await self._gateway.read(look)

    async def proven_entries(self, locations: Sequence[tuple[MemberId, int]]) -> ProvenEntries:
        """Return 1 to 256 entries with their proofs, all from one consistent view.

        Raises `TooManyLocations`, `UnknownLog`, `LogQuarantined` or `OutOfRange`.
        """
        if not 1 <= len(locations) <= MAX_LOCATIONS:
            raise TooManyLocations(
                f"1 to {MAX_LOCATIONS} entries are proven in one call; split the request", "locations"
            )

        def look(snapshot: Snapshot) -> ProvenEntries:
            proven: dict[tuple[MemberId, int], ProvenEntry] = {}
            checkpoints: dict[bytes, bytes] = {}
            for writer in dict.fromkeys(writer for writer, _ in locations):
                tip = known_tip(snapshot, writer)
                checkpoints[writer] = tip.checkpoint
                indices = sorted({index for owner, index in locations if owner == writer})
                if not 0 <= indices[0] <= indices[-1] < tip.size:
                    raise OutOfRange(f"the log of {writer.hex()} has {tip.size} entries", "locations")
                stored = snapshot.entries_at(writer, indices)
                plan = {place for index in indices for place in plan_inclusion(index, tip.size)}
                nodes = snapshot.nodes(writer, plan)
                for index in indices:
                    hashes = tuple(inclusion_proof(index, tip.size, nodes))
                    proven[writer, index] = ProvenEntry(writer, stored[index], hashes)
            return ProvenEntries(tuple(proven[location] for location in locations), checkpoints)

        return await self._gateway.read(look)

    async def watch(
        self, cursor: Mapping[MemberId, int], newest_period: int
    ) -> AsyncGenerator[NewTags, None]:
        """Yield new entries of every other member's log from a cursor on, until closed.

        Each pass over the logs ends with one item that is `caught_up`. Raises `InvalidCursor` or `UnknownLog`.
        """
        position = dict(cursor)
        await self._gateway.read(lambda snapshot: self._check_cursor(snapshot, position))
        while True:
            seen = self._notifications.count
            last = self._member
            for writer in await self._gateway.read(self._watched):
                async for news in self._new(writer, position, newest_period):
                    yield news
                last = writer
            yield NewTags(last, (), b"", position.get(last, 0), caught_up=True)
            await self._notifications.wait(seen)

    async def _new(
        self, writer: MemberId, position: dict[MemberId, int], newest_period: int
    ) -> AsyncIterator[NewTags]:
        while True:
            start = position.get(writer, 0)
            new = await self._gateway.read(
                partial(_new_tags, writer=writer, start=start, newest_period=newest_period)
            )
            position[writer] = new.next_index
            if new.next_index == start:
                return
            if new.indices:
                yield NewTags(writer, new.indices, new.tags, new.next_index, caught_up=False)

    def _watched(self, snapshot: Snapshot) -> list[MemberId]:
        others = (member for member in snapshot.members() if member != self._member)
        return [member for member in others if not snapshot.tip(member).quarantined]

    def _check_cursor(self, snapshot: Snapshot, cursor: Mapping[MemberId, int]) -> None:
        members = {member.id for member in self._membership.charter.members}
        held = set(snapshot.members())
        for writer, start in cursor.items():
            if writer not in held and writer not in members:
                raise UnknownLog(f"this node holds no log of {writer.hex()}", "cursor")
            size = snapshot.tip(writer).size
            if not 0 <= start <= size:
                raise InvalidCursor(
                    f"the log of {writer.hex()} has {size} entries here, the cursor is at {start}; "
                    "start from an earlier one",
                    "cursor",
                )


def _new_tags(snapshot: Snapshot, writer: MemberId, start: int, newest_period: int) -> LiveTags:
    # M-7.5: it stops before the first entry of a newer period.
    return snapshot.new_tags(writer, start, MAX_STREAMED_TAGS, newest_period)


def _without_expired(
    snapshot: Snapshot, groups: Sequence[tuple[MemberId, bytes]], hits: Sequence[TagHit], now: int
) -> list[TagHit]:
    kept: list[TagHit] = []
    for hit in hits:
        stored = snapshot.entries_at(groups[hit.group][0], hit.indices)
        live = tuple(index for index in hit.indices if stored[index].entry.header.is_live(now))
        if live:
            kept.append(TagHit(hit.group, hit.position, live))
    return kept
