"""Every transition of the charter's state machine, in any order (SPEC M-3.4, M-3.5, M-3.12)."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.fakes.deterministic import NOW
from tests.fakes.federation import NAME, Federation, founded, member_id, sign_charter
from tocsin.charter.document import Charter, parse_charter
from tocsin.charter.envelope import SignedCharter, charter_hash
from tocsin.charter.errors import (
    ForeignFederation,
    NotEnoughSignatures,
    OtherDocument,
    RolledBack,
    Skipped,
    TwoCharters,
    WrongPin,
)
from tocsin.node.service.charter_states import (
    Announce,
    InForce,
    NoCharter,
    Received,
    Refuse,
    State,
    Step,
    StoreCharter,
    StoreConflict,
    StoreSignatures,
    Terms,
    step,
)

ME = 1
SIGNERS = st.sets(st.integers(1, 3))
TICKS = st.integers(1, 3_000)


def founding() -> Federation:
    with founded() as federation:
        return federation


FOUNDED = founding()
TERMS = Terms(NAME, member_id(ME), charter_hash(FOUNDED.envelope.document))


class Charters(RuleBasedStateMachine):
    """Charters arrive as a store and peers bring them; the model keeps what was stored."""

    def __init__(self) -> None:
        super().__init__()
        self.state: State = NoCharter()
        self.stored: dict[int, SignedCharter] = {}
        self.conflicts: list[tuple[int, bytes]] = []

    def arrive(self, signed: SignedCharter) -> Step:
        before, version = self.state, parse_charter(signed.document).version
        taken = step(TERMS, before, Received(signed, self.stored.get(version), NOW))
        # What a transition may do, whatever arrives.
        if isinstance(taken.store, StoreCharter):
            assert taken.effect == Announce(taken.store.charter)
            assert version not in self.stored
            assert version == len(self.stored) + 1
            assert taken.store.logged is (member_id(ME) in dict(signed.signatures))
            self.stored[version] = signed
        else:
            assert not isinstance(taken.effect, Announce)
            assert self.version(taken.state) == self.version(before)
        if isinstance(taken.store, StoreSignatures):
            assert taken.store.signed.document == self.stored[version].document
            fresh = set(taken.store.signed.signatures) - set(self.stored[version].signatures)
            assert taken.store.logged is (member_id(ME) in dict(fresh))
            self.stored[version] = taken.store.signed
        if isinstance(taken.store, StoreConflict):
            assert isinstance(taken.effect, Refuse)
            error = taken.store.error
            assert taken.store.first == self.stored[version]
            pairs = [(error.version, member) for member in error.members]
            assert not set(pairs) <= set(self.conflicts)
            self.conflicts += pairs
        self.state = taken.state
        return taken

    @staticmethod
    def version(state: State) -> int:
        return state.charter.version if isinstance(state, InForce) else 0

    def newest(self) -> Charter:
        assert isinstance(self.state, InForce)
        return self.state.charter

    @initialize()
    def nothing_is_in_force(self) -> None:
        altered = sign_charter(replace(FOUNDED.charter, tick_seconds=5), (1, 2, 3))
        taken = self.arrive(altered)
        assert isinstance(taken.effect, Refuse)
        assert isinstance(taken.effect.error, WrongPin)

    @precondition(lambda self: isinstance(self.state, NoCharter))
    @rule()
    def the_pinned_one_arrives(self) -> None:
        assert isinstance(self.arrive(FOUNDED.envelope).store, StoreCharter)

    @precondition(lambda self: isinstance(self.state, InForce))
    @rule(signers=SIGNERS, tick=TICKS)
    def the_next_arrives(self, signers: set[int], tick: int) -> None:
        successor = replace(self.newest(), version=self.newest().version + 1, tick_seconds=tick)
        taken = self.arrive(sign_charter(successor, sorted(signers)))
        assert isinstance(taken.store, StoreCharter) is (len(signers) >= 2)
        if len(signers) < 2:
            assert isinstance(taken.effect, Refuse)
            assert isinstance(taken.effect.error, NotEnoughSignatures)

    @precondition(lambda self: isinstance(self.state, InForce))
    @rule(ahead=st.integers(2, 4))
    def one_too_far_ahead_arrives(self, ahead: int) -> None:
        later = replace(self.newest(), version=self.newest().version + ahead)
        taken = self.arrive(sign_charter(later, (1, 2, 3)))
        assert isinstance(taken.effect, Refuse)
        assert isinstance(taken.effect.error, Skipped)

    @precondition(lambda self: bool(self.stored))
    @rule(data=st.data())
    def a_stored_one_arrives_again(self, data: st.DataObject) -> None:
        signed = self.stored[data.draw(st.sampled_from(sorted(self.stored)))]
        assert self.arrive(signed) == Step(self.state)

    @precondition(lambda self: bool(self.stored))
    @rule(data=st.data(), signers=SIGNERS)
    def a_stored_one_arrives_with_what_a_relay_had_stripped(
        self, data: st.DataObject, signers: set[int]
    ) -> None:
        version = data.draw(st.sampled_from(sorted(self.stored)))
        stored = self.stored[version]
        again = sign_charter(parse_charter(stored.document), sorted(signers))
        # A signature that verifies under no member's key is nobody's, and is not kept.
        junk = ((member_id(2), bytes(64)),) if 2 not in signers else ()
        missing = set(again.signatures) - set(stored.signatures)
        taken = self.arrive(SignedCharter(again.document, (*again.signatures, *junk)))
        assert taken.effect is None
        assert isinstance(taken.store, StoreSignatures) is bool(missing)
        assert set(self.stored[version].signatures) == set(stored.signatures) | missing

    @precondition(lambda self: bool(self.stored))
    @rule(data=st.data())
    def another_attempt_at_a_stored_version_arrives(self, data: st.DataObject) -> None:
        version = data.draw(st.sampled_from(sorted(self.stored)))
        document = parse_charter(self.stored[version].document)
        other = sign_charter(replace(document, attempt=2, tick_seconds=3_334), (1, 2, 3))
        taken = self.arrive(other)
        assert taken.store is None
        assert isinstance(taken.effect, Refuse)
        assert isinstance(taken.effect.error, RolledBack)

    @precondition(lambda self: bool(self.stored))
    @rule(data=st.data(), signers=SIGNERS)
    def another_document_of_a_stored_version_arrives(self, data: st.DataObject, signers: set[int]) -> None:
        version = data.draw(st.sampled_from(sorted(self.stored)))
        stored = self.stored[version]
        other = sign_charter(replace(parse_charter(stored.document), tick_seconds=3_333), sorted(signers))
        both = {member for member, _ in stored.signatures} & {member_id(number) for number in signers}
        taken = self.arrive(other)
        assert isinstance(taken.effect, Refuse)
        if both:
            assert isinstance(taken.effect.error, TwoCharters)
            assert set(taken.effect.error.members) == both
            assert both <= {member for at, member in self.conflicts if at == version}
        else:
            assert isinstance(taken.effect.error, RolledBack)

    @invariant()
    def what_is_in_force_is_the_newest_that_is_stored(self) -> None:
        assert self.version(self.state) == len(self.stored)
        if isinstance(self.state, InForce):
            assert self.state.charter == parse_charter(self.stored[len(self.stored)].document)


TestCharters = Charters.TestCase
TestCharters.settings = settings(max_examples=25, stateful_step_count=12, deadline=None)


def test_a_charter_of_another_federation_is_refused_though_it_verifies() -> None:
    foreign = Terms("other.test", member_id(ME), TERMS.pin)
    taken = step(foreign, NoCharter(), Received(FOUNDED.envelope, None, NOW))
    assert isinstance(taken.effect, Refuse)
    assert taken.state == NoCharter()
    assert isinstance(taken.effect.error, ForeignFederation)


def test_what_is_stored_is_not_replaced_though_this_process_has_not_taken_it() -> None:
    """As after a crash between storing and acting, with another attempt at the same version on its way."""
    state = step(TERMS, NoCharter(), Received(FOUNDED.envelope, None, NOW)).state
    first = sign_charter(replace(FOUNDED.charter, version=2), (1, 2, 3))
    other = sign_charter(replace(FOUNDED.charter, version=2, attempt=2, tick_seconds=7), (1, 2, 3))
    taken = step(TERMS, state, Received(other, first, NOW))
    assert taken.store is None
    assert isinstance(taken.effect, Refuse)
    assert isinstance(taken.effect.error, OtherDocument)


def test_who_was_removed_or_rotated_its_key_is_convicted_by_the_key_of_the_version_before() -> None:
    state = step(TERMS, NoCharter(), Received(FOUNDED.envelope, None, NOW)).state
    without = replace(
        FOUNDED.charter,
        version=2,
        members=FOUNDED.charter.members[:2],
        period=replace(
            FOUNDED.charter.period,
            number=FOUNDED.charter.last_period + 1,
            commitment=bytes(32),
            sealed={member_id(number): FOUNDED.charter.period.sealed[member_id(number)] for number in (1, 2)},
        ),
        classes=tuple(replace(key, committee=key.committee[:2]) for key in FOUNDED.charter.classes),
    )
    first = sign_charter(without, (1, 2, 3))
    in_force = step(TERMS, state, Received(first, None, NOW))
    assert isinstance(in_force.state, InForce)
    second = sign_charter(replace(without, tick_seconds=9), (3,))
    taken = step(TERMS, in_force.state, Received(second, first, NOW))
    assert isinstance(taken.store, StoreConflict)
    assert taken.store.error.members == (member_id(3),)
