import itertools
import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.oprf import group, shares
from tocsin.oprf.group import GROUP_ORDER, Scalar
from tocsin.oprf.shares import BadQuorum, BadShare

VECTOR = json.loads((Path(__file__).parents[1] / "vectors" / "rfc9591-shamir.json").read_text())


@st.composite
def sizes(draw: st.DrawFn) -> tuple[int, int]:
    c = draw(st.integers(1, 7))
    return c, draw(st.integers(1, c))


def test_rfc9591_shares_and_public_key() -> None:
    secret = group.decode_scalar(bytes.fromhex(VECTOR["secret"]))
    coefficients = iter(VECTOR["coefficients"])
    dealt = shares.split(
        secret,
        len(VECTOR["shares"]),
        VECTOR["threshold"],
        lambda _: bytes.fromhex(next(coefficients)) + bytes(32),
    )
    assert [bytes(share).hex() for share in dealt.shares] == VECTOR["shares"]
    assert shares.public_key(dealt.commitments).hex() == VECTOR["public_key"]
    held = {seat: dealt.shares[seat - 1] for seat in VECTOR["participants"]}
    assert shares.combine_shares(held) == secret
    for seat, share in enumerate(dealt.shares, start=1):
        shares.verify_share(share, seat, dealt.commitments)


@settings(max_examples=12, deadline=None)
@given(sizes())
def test_every_subset_of_t_recovers_and_every_share_matches_its_commitments(size: tuple[int, int]) -> None:
    c, t = size
    secret = group.random_scalar(os.urandom)
    dealt = shares.split(secret, c, t, os.urandom)
    assert (len(dealt.shares), len(dealt.commitments)) == (c, t)
    assert shares.public_key(dealt.commitments) == group.base_multiply(secret)
    for seat, share in enumerate(dealt.shares, start=1):
        shares.verify_share(share, seat, dealt.commitments)
        assert shares.public_share(dealt.commitments, seat) == group.base_multiply(share)
    for quorum in itertools.combinations(range(1, c + 1), t):
        assert shares.combine_shares({seat: dealt.shares[seat - 1] for seat in quorum}) == secret
    if t > 1:
        fewer = {seat: dealt.shares[seat - 1] for seat in range(1, t)}
        assert shares.combine_shares(fewer) != secret


def test_a_changed_or_misplaced_share_is_refused_and_named() -> None:
    dealt = shares.split(group.random_scalar(os.urandom), 3, 2, os.urandom)
    one = group.scalar_of(1)
    wrong = group.scalar_add(dealt.shares[1], one)
    for share, seat in ((wrong, 2), (dealt.shares[0], 2), (Scalar(bytes(32)), 2)):
        with pytest.raises(BadShare) as caught:
            shares.verify_share(share, seat, dealt.commitments)
        assert caught.value.seat == 2
        assert bytes(share).hex() not in str(caught.value)


def test_commitments_that_meet_in_the_identity_are_refused() -> None:
    # a_0 = 2, a_1 = −1: the polynomial is 0 at seat 2, whose holder would have nothing to evaluate with.
    commitments = [group.base_multiply(group.scalar_of(2)), group.base_multiply(group.scalar_of(-1))]
    with pytest.raises(group.BadElement):
        shares.public_share(commitments, 2)
    with pytest.raises(BadShare):
        shares.verify_share(group.scalar_of(1), 2, commitments)


@settings(max_examples=30, deadline=None)
@given(st.sets(st.integers(1, 255), min_size=1, max_size=7))
def test_interpolating_values_recover_the_constant_and_kill_every_higher_power(seats: set[int]) -> None:
    quorum = sorted(seats)
    values = [int.from_bytes(shares.lagrange(quorum, seat), "little") for seat in quorum]
    for degree in range(len(quorum)):
        total = sum(value * seat**degree for value, seat in zip(values, quorum, strict=True))
        assert total % GROUP_ORDER == (1 if degree == 0 else 0)


@pytest.mark.parametrize(
    ("quorum", "seat", "why"),
    [
        ((1,), None, "exactly t = 2"),
        ((1, 2, 3), None, "exactly t = 2"),
        ((0, 1), None, "not one of"),
        ((-1, 2), None, "not one of"),
        ((1, 4), None, "not one of"),
        ((2, 2), None, "distinct"),
        ((2, 1), None, "ascending"),
        ((1, 2), 3, "not in the quorum"),
    ],
)
def test_what_is_no_quorum_is_refused(quorum: tuple[int, ...], seat: int | None, why: str) -> None:
    with pytest.raises(BadQuorum, match=why):
        shares.check_quorum(quorum, 3, 2, seat)


def test_quorums_with_and_without_an_own_seat_are_accepted() -> None:
    shares.check_quorum((1, 3), 3, 2, 3)
    shares.check_quorum((1, 3), 3, 2, None)


@pytest.mark.parametrize(("c", "t"), [(2, 3), (3, 0), (0, 0), (256, 2)])
def test_impossible_thresholds_are_refused(c: int, t: int) -> None:
    with pytest.raises(BadQuorum):
        shares.split(group.scalar_of(5), c, t, os.urandom)


def test_nothing_to_work_with_is_refused() -> None:
    with pytest.raises(BadQuorum):
        shares.combine_shares({})
    with pytest.raises(BadQuorum):
        shares.public_key(())
    with pytest.raises(BadQuorum):
        shares.public_share((), 1)
    with pytest.raises(BadQuorum):
        shares.lagrange((1, 2), 3)


def test_dealt_shares_are_masked() -> None:
    dealt = shares.split(group.random_scalar(os.urandom), 3, 2, os.urandom)
    for share in dealt.shares:
        assert repr(bytes(share))[2:-1] not in repr(dealt)
    assert repr(dealt).count("Scalar(…)") == 3
