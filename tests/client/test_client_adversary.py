"""A lying node, a lying evaluator, a lying writer: each is caught, and the right one is named."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from tests.client.fake_node import FakeFederation, FakeNode
from tests.drafts import report_draft
from tocsin.charter.document import ClassKey
from tocsin.client import system
from tocsin.client.errors import (
    BadPartial,
    NodeMisbehaved,
    StaleCharter,
)
from tocsin.oprf import dleq, group, shares, threshold
from tocsin.oprf.group import Element
from tocsin.oprf.threshold import PartialEvaluation
from tocsin.sealing.box import Purpose, SealInfo, seal
from tocsin.sealing.label import AbuseKind, Dispute, DisputeReason, encode_label
from tocsin.sealing.pepper import period_secret
from tocsin.tlog.entry import Entry, SealedBody, parse_body, sealed_header
from tocsin.tlog.merkle import Hash
from tocsin.wire.values import Kept, NewTags, ProvenEntries, ProvenEntry, SignedPartial, TagHit

MAIL = ("contact.email", "mallory@example.com")
MAILS = [MAIL, ("contact.email", "oscar@example.com")]


class LyingEvaluator(FakeNode):
    """The evaluator of seat 1 multiplies by another share, and signs it."""

    liars: tuple[int, ...] = (1,)

    def answer(
        self, key: ClassKey, quorum: tuple[int, ...], seat: int, blinded: Sequence[Element]
    ) -> SignedPartial:
        honest = super().answer(key, quorum, seat, blinded)
        if seat not in self.liars:
            return honest
        wrong = group.multiply(group.random_scalar(system.random_bytes), blinded)
        context = self.world.context(self.member, key, quorum, seat)
        return self.world.signed(context, blinded, PartialEvaluation(tuple(wrong), honest.partial.proof))


def test_a_lying_evaluator_is_routed_around_with_its_signed_partial_as_complaint(
    world: FakeFederation,
) -> None:
    node = LyingEvaluator(world, world.homes[0].id)
    reporter = world.node(1)
    with world.client(1, reporter) as client:
        client.submit([report_draft(MAIL, AbuseKind.RESALE)])
    reporter.tick()
    with world.client(0, node) as client:
        assert len(client.query([MAIL]).matches) == 1
    assert {complaint.evaluator for complaint in node.complaints} == {world.charter.classes[0].committee[0]}
    assert node.evaluated == 1


def test_when_no_quorum_is_left_the_culprits_are_named(world: FakeFederation) -> None:
    class TwoLiars(LyingEvaluator):
        liars = (1, 2)

    with world.client(0, TwoLiars(world, world.homes[0].id)) as client:
        with pytest.raises(BadPartial) as caught:
            client.query([MAIL])
        assert set(caught.value.culprits) == set(world.charter.classes[0].committee[:2])
        assert client.status().outputs == 0


def test_a_node_that_does_not_route_around_gets_nowhere(world: FakeFederation) -> None:
    class Stubborn(LyingEvaluator):
        def evaluate(self, key_class, epoch, committee_hash, blinded, complaints):  # type: ignore[no-untyped-def] # a double takes what the port takes
            self.convicted.clear()
            return super().evaluate(key_class, epoch, committee_hash, blinded, [])

    with world.client(0, Stubborn(world, world.homes[0].id)) as client, pytest.raises(BadPartial):
        client.query([MAIL])


def unsigned_lie(
    world: FakeFederation, node: FakeNode, partials: list[SignedPartial], blinded: Sequence[Element]
) -> list[SignedPartial]:
    """The node multiplies by a key of its own, with a valid proof for that key, to search every value offline."""
    own = group.random_scalar(system.random_bytes)
    wrong = group.multiply(own, blinded)
    proof = dleq.generate_proof(
        own, group.base_multiply(own), blinded, wrong, system.random_bytes, transcript_ending=b""
    )
    return [replace(partial, partial=PartialEvaluation(tuple(wrong), proof)) for partial in partials]


def stale_quorum(
    world: FakeFederation, node: FakeNode, partials: list[SignedPartial], blinded: Sequence[Element]
) -> list[SignedPartial]:
    """Partials of an earlier batch."""
    key = world.charter.classes[2]
    other = group.hash_to_group([b"earlier"] * len(blinded), b"test")
    return [world.partial(node.member, key, (1, 2), seat, other) for seat in (1, 2)]


def mixed_quorums(
    world: FakeFederation, node: FakeNode, partials: list[SignedPartial], blinded: Sequence[Element]
) -> list[SignedPartial]:
    key = world.charter.classes[2]
    return [
        world.partial(node.member, key, (1, 2), 1, blinded),
        world.partial(node.member, key, (2, 3), 2, blinded),
    ]


def swapped(
    world: FakeFederation, node: FakeNode, partials: list[SignedPartial], blinded: Sequence[Element]
) -> list[SignedPartial]:
    first, second = partials
    return [replace(first, partial=second.partial), replace(second, partial=first.partial)]


def another_caller(
    world: FakeFederation, node: FakeNode, partials: list[SignedPartial], blinded: Sequence[Element]
) -> list[SignedPartial]:
    key = world.charter.classes[2]
    return [world.partial(world.homes[1].id, key, (1, 2), seat, blinded) for seat in (1, 2)]


def too_few(
    world: FakeFederation, node: FakeNode, partials: list[SignedPartial], blinded: Sequence[Element]
) -> list[SignedPartial]:
    return partials[:1]


def one_seat_twice(
    world: FakeFederation, node: FakeNode, partials: list[SignedPartial], blinded: Sequence[Element]
) -> list[SignedPartial]:
    return [partials[0], partials[0]]


def foreign_seat(
    world: FakeFederation, node: FakeNode, partials: list[SignedPartial], blinded: Sequence[Element]
) -> list[SignedPartial]:
    return [replace(partials[0], evaluator=bytes(16)), partials[1]]


def fewer_elements(
    world: FakeFederation, node: FakeNode, partials: list[SignedPartial], blinded: Sequence[Element]
) -> list[SignedPartial]:
    short = PartialEvaluation(partials[0].partial.evaluated[:1], partials[0].partial.proof)
    return [replace(partials[0], partial=short), partials[1]]


LIES = [
    unsigned_lie, stale_quorum, mixed_quorums, swapped, another_caller, too_few, one_seat_twice, foreign_seat,
    fewer_elements,
]  # fmt: skip


@pytest.mark.parametrize("lie", LIES)
def test_a_lying_own_node_is_caught_before_anything_is_used(
    world: FakeFederation, lie: Callable[..., list[SignedPartial]]
) -> None:
    class Lying(FakeNode):
        def relay(self, partials: list[SignedPartial], blinded: Sequence[Element]) -> list[SignedPartial]:
            return lie(world, self, partials, blinded)

    with world.client(0, Lying(world, world.homes[0].id)) as client:
        with pytest.raises(NodeMisbehaved, match="your node sent an invalid response"):
            client.query(MAILS)
        assert client.status().outputs == 0


def test_the_class_of_the_lies_is_the_one_queried(world: FakeFederation) -> None:
    assert world.charter.classes[2].name == "contact"


def test_a_committee_that_the_client_does_not_know_is_fetched_and_then_refused(world: FakeFederation) -> None:
    class Stale(FakeNode):
        asked = 0

        def evaluate(self, *_: object) -> list[SignedPartial]:
            raise StaleCharter("STALE_CHARTER", "not that committee")

        def charters(self, first_version: int) -> list[bytes]:
            self.asked += 1
            return super().charters(first_version)

    node = Stale(world, world.homes[0].id)
    with world.client(0, node) as client, pytest.raises(StaleCharter):
        client.query([MAIL])
    assert node.asked == 2


# Entries


def sealed_by(
    world: FakeFederation, writer: int, value: tuple[str, str], *, label: bytes | None = None,
    purpose: Purpose = Purpose.REPORT, header_period: int = 0,
) -> Entry:  # fmt: skip
    """An entry as a writer that holds the value could make it, against the rules."""
    with world.client(writer) as client:
        client.query([value])
        standing = client._session.charter(system.now())
        key = standing.live_classes(3, system.now())[0]
        output = next(iter(client._session.vault.outputs(key.epoch, [client.key_of(value)]).values()))
    period = standing.charter.period_at(system.now())
    not_after = system.now() // (7 * 86_400) + 4
    header = sealed_header(3, key.epoch, period + header_period, not_after)
    member = world.homes[writer].id
    body = seal(
        period_secret(standing.pepper(period), output), purpose, SealInfo(3, key.epoch, period),
        federation=world.charter.federation, writer=member, header=header.encode(),
        plaintext=label if label is not None else b"no label", random=system.random_bytes,
    )  # fmt: skip
    return Entry(header, parse_body(body))


def honest_report(world: FakeFederation, writer: int, value: tuple[str, str]) -> None:
    node = world.node(writer)
    with world.client(writer, node) as client:
        client.submit([report_draft(value, AbuseKind.RESALE)])
    node.tick()


def tampered(world: FakeFederation) -> Entry:
    honest_report(world, 1, MAIL)
    entry = world.logs[world.homes[1].id].entries[-1]
    assert entry is not None
    assert entry.body is not None
    return Entry(entry.header, SealedBody(entry.body.tag, entry.body.nonce, bytes(528)))


BAD_ENTRIES: dict[str, Callable[[FakeFederation], Entry]] = {
    "its box does not open": tampered,
    "its label cannot be read": lambda world: sealed_by(world, 1, MAIL),
    "of another kind": lambda world: sealed_by(
        world, 1, MAIL, label=encode_label(Dispute(MAIL[0], ((bytes(16), 0),), DisputeReason.OTHER))
    ),
    "another type": lambda world: sealed_by(
        world,
        1,
        MAIL,
        purpose=Purpose.DISPUTE,
        label=encode_label(Dispute("org.domain", ((bytes(16), 0),), DisputeReason.OTHER)),
    ),
    "another class, epoch or period": lambda world: sealed_by(world, 1, MAIL, header_period=1),
}


@pytest.mark.parametrize("what", BAD_ENTRIES)
def test_an_entry_that_its_writer_made_wrong_is_dropped_and_the_rest_goes_on(
    world: FakeFederation, what: str
) -> None:
    world.publish(world.homes[1].id, [BAD_ENTRIES[what](world)])
    honest_report(world, 2, MAIL)
    with world.client(0) as client:
        result = client.query([MAIL])
    assert [match.writer for match in result.matches] == [world.homes[2].id]
    (problem,) = result.problems
    assert problem.writer_name == world.homes[1].name
    assert what in problem.what


def test_a_dispute_is_matched_as_such(world: FakeFederation) -> None:
    honest_report(world, 2, MAIL)
    label = Dispute(MAIL[0], ((world.homes[2].id, 0),), DisputeReason.SHARED_BY_MANY)
    world.publish(
        world.homes[1].id, [sealed_by(world, 1, MAIL, purpose=Purpose.DISPUTE, label=encode_label(label))]
    )
    with world.client(0) as client:
        matches = client.query([MAIL]).matches
    assert [match.label for match in matches if isinstance(match.label, Dispute)] == [label]


def test_a_copied_entry_in_another_log_is_dead(world: FakeFederation) -> None:
    honest_report(world, 1, MAIL)
    copied = world.logs[world.homes[1].id].entries[-1]
    assert copied is not None
    world.publish(world.homes[2].id, [copied])
    with world.client(0) as client:
        result = client.query([MAIL])
    assert [match.writer for match in result.matches] == [world.homes[1].id]
    assert result.problems == ()


class PointsAtCopies(FakeNode):
    """A node that says the copy in the third member's log has the tag that was asked."""

    def look_up(self, groups: Sequence[tuple[bytes, bytes]]) -> list[TagHit]:
        victim = self.world.homes[2].id
        group_of = [writer for writer, _ in groups].index(victim)
        return [TagHit(group_of, 0, (0,))]


def test_a_node_cannot_pass_off_a_copied_entry(world: FakeFederation) -> None:
    honest_report(world, 1, MAIL)
    copied = world.logs[world.homes[1].id].entries[-1]
    assert copied is not None
    world.publish(world.homes[2].id, [copied])
    node = PointsAtCopies(world, world.homes[0].id)
    with world.client(0, node) as client, pytest.raises(NodeMisbehaved, match="does not carry the tag"):
        client.query([MAIL])


def forged_hash(world: FakeFederation, answer: ProvenEntries) -> ProvenEntries:
    entry = answer.entries[0]
    return replace(answer, entries=(replace(entry, hashes=(*entry.hashes[:-1], Hash(bytes(32)))),))


def moved_index(world: FakeFederation, answer: ProvenEntries) -> ProvenEntries:
    proven = answer.entries[0]
    moved = replace(proven.stored, index=proven.stored.index ^ 1)
    return replace(answer, entries=(replace(proven, stored=moved),))


def own_log_key(world: FakeFederation, answer: ProvenEntries) -> ProvenEntries:
    """The checkpoint of an invented tree, signed by the node with its own log key under the writer's origin."""
    writer = answer.entries[0].writer
    world.keys[writer]["log"] = world.keys[world.homes[0].id]["log"]
    leaf = answer.entries[0].stored.leaf_hash()
    return ProvenEntries(
        (replace(answer.entries[0], hashes=()),), {writer: world.sign(writer, 1, Hash(leaf))}
    )


def another_log(world: FakeFederation, answer: ProvenEntries) -> ProvenEntries:
    writer = answer.entries[0].writer
    return replace(answer, checkpoints={writer: world.logs[world.homes[0].id].note})


def no_checkpoint(world: FakeFederation, answer: ProvenEntries) -> ProvenEntries:
    return replace(answer, checkpoints={})


def nothing(world: FakeFederation, answer: ProvenEntries) -> ProvenEntries:
    return replace(answer, entries=())


@pytest.mark.parametrize("lie", [forged_hash, moved_index, own_log_key, another_log, no_checkpoint, nothing])
def test_a_forged_proof_is_the_own_nodes_fault(
    world: FakeFederation, lie: Callable[[FakeFederation, ProvenEntries], ProvenEntries]
) -> None:
    honest_report(world, 1, ("contact.email", "first@example.com"))
    honest_report(world, 1, MAIL)

    class Forging(FakeNode):
        def proven_entries(self, locations: Sequence[tuple[bytes, int]]) -> ProvenEntries:
            return lie(world, super().proven_entries(locations))

    with world.client(0, Forging(world, world.homes[0].id)) as client, pytest.raises(NodeMisbehaved):
        client.query([MAIL])


def test_an_erased_body_is_nobodys_fault(world: FakeFederation) -> None:
    honest_report(world, 1, MAIL)

    class Racing(FakeNode):
        def prove(self, writer: bytes, index: int) -> ProvenEntry:
            found = super().prove(writer, index)
            bare = Kept(found.stored.entry.header, None)
            return replace(found, stored=replace(found.stored, entry=bare))

    with world.client(0, Racing(world, world.homes[0].id)) as client:
        result = client.query([MAIL])
    assert (result.matches, result.problems) == ((), ())


def test_an_invented_hit_out_of_range_is_refused(world: FakeFederation) -> None:
    class Inventing(FakeNode):
        def look_up(self, groups: Sequence[tuple[bytes, bytes]]) -> list[TagHit]:
            return [TagHit(len(groups), 0, (0,))]

    with world.client(0, Inventing(world, world.homes[0].id)) as client, pytest.raises(NodeMisbehaved):
        client.query([MAIL])


def test_a_streamed_tag_that_is_nowhere_is_caught(world: FakeFederation) -> None:
    honest_report(world, 1, MAIL)
    honest_report(world, 1, ("contact.email", "other@example.com"))

    class Inventing(FakeNode):
        def feed(self, stream, writer: bytes, start: int) -> None:  # type: ignore[no-untyped-def] # a double takes what the port takes
            log = self.world.logs[self.world.homes[1].id]
            tags = [entry.body.tag for entry in log.entries if entry is not None and entry.body is not None]
            stream.messages.put(NewTags(self.world.homes[1].id, (0, 1), tags[1] + tags[0], 2, True))

    with world.client(0, Inventing(world, world.homes[0].id)) as client:
        client.query([MAIL])
        with pytest.raises(NodeMisbehaved, match="does not carry the tag"):
            next(client.watch())


def test_shares_of_the_fake_are_those_of_the_charter(world: FakeFederation) -> None:
    for key in world.charter.classes:
        for seat in range(1, len(key.committee) + 1):
            shares.verify_share(world.shares[key.key_class, key.epoch, seat], seat, key.commitments)
            assert threshold.committee_hash(key.committee, key.commitments) == key.committee_hash


@pytest.mark.parametrize("quorum", [(1, 300), (0, 1), (1, 1), (2, 1), (1, 2, 3), ()])
def test_a_quorum_that_cannot_be_is_the_nodes_fault(world: FakeFederation, quorum: tuple[int, ...]) -> None:
    class Lying(FakeNode):
        def relay(self, partials: list[SignedPartial], blinded: Sequence[Element]) -> list[SignedPartial]:
            return [replace(partial, quorum=quorum) for partial in partials]

    with (
        world.client(0, Lying(world, world.homes[0].id)) as client,
        pytest.raises(NodeMisbehaved),
    ):
        client.query([MAIL])
