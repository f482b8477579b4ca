"""Shamir shares of a class key in the scalar field, with Feldman commitments (RFC 9591 appendix C).

1. A secret is the constant term of a polynomial of degree t − 1. Seat i of 1..c holds its value at i.
2. The dealer commits to every coefficient: C_k = a_k·G. C_0 is the public key Y; anybody computes the public
   share Y_i = Σ i^k·C_k of any seat, so no two quorums can disagree about them.
3. A quorum is exactly t distinct seats of 1..c in ascending order. Under it, secret = Σ λ_i·share_i with
   RFC 9591's interpolating values λ_i.
4. Seats, quorums and λ are public and may be Python integers; secrets and shares stay in libsodium.
"""

import functools
import hmac
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tocsin.oprf import group
from tocsin.oprf.errors import OprfError
from tocsin.oprf.group import GROUP_ORDER, BadElement, Element, Random, Scalar

MAX_SEATS = 255
"""A seat is encoded as one byte."""


class BadQuorum(OprfError):
    """Seats that are no quorum: the message says which rule they break."""


class BadShare(OprfError):
    """A share that is not the committed polynomial at its seat; `seat` says whose."""

    def __init__(self, seat: int) -> None:
        self.seat = seat
        super().__init__(
            f"the share of seat {seat} does not match the commitments: it was dealt wrongly, damaged, "
            "or belongs to another key, seat or epoch"
        )


@dataclass(frozen=True, slots=True)
class Dealt:
    """A dealt secret: the secret share of each seat, seat 1 first, and the t public commitments."""

    shares: tuple[Scalar, ...]
    commitments: tuple[Element, ...]


def check_quorum(quorum: Sequence[int], c: int, t: int, seat: int | None) -> None:
    """Check that a quorum is t distinct seats of 1..c, ascending, and holds `seat` unless that is None.

    Raises `BadQuorum`.
    """
    if len(quorum) != t:
        raise BadQuorum(f"a quorum has exactly t = {t} seats, this one has {len(quorum)}")
    for member in quorum:
        if not 1 <= member <= c:
            raise BadQuorum(f"seat {member} of the quorum is not one of 1..{c}")
    if any(first >= second for first, second in itertools.pairwise(quorum)):
        raise BadQuorum("the seats of a quorum are distinct and ascending")
    if seat is not None and seat not in quorum:
        raise BadQuorum(f"seat {seat} is not in the quorum")


def split(secret: Scalar, c: int, t: int, random: Random) -> Dealt:
    """Split a secret into c shares of which any t recover it (RFC 9591 appendix C.1, C.2).

    `random` is asked for 64 bytes per coefficient above the constant one. Raises `BadQuorum` unless
    1 ≤ t ≤ c ≤ 255.
    """
    if not 1 <= t <= c <= MAX_SEATS:
        raise BadQuorum(f"a secret is split with 1 ≤ t ≤ c ≤ {MAX_SEATS}, not t = {t}, c = {c}")
    coefficients = [secret, *(group.random_scalar(random) for _ in range(t - 1))]
    return Dealt(
        tuple(_evaluate(coefficients, seat) for seat in range(1, c + 1)),
        tuple(group.base_multiply(coefficient) for coefficient in coefficients),
    )


def _evaluate(coefficients: Sequence[Scalar], seat: int) -> Scalar:
    x = group.scalar_of(seat)
    value = coefficients[-1]
    for coefficient in reversed(coefficients[:-1]):
        value = group.scalar_add(group.scalar_mul(value, x), coefficient)
    return value


def lagrange(quorum: Sequence[int], seat: int) -> Scalar:
    """Return λ_seat(quorum), the interpolating value at 0 (RFC 9591 §4.2). Raises `BadQuorum`."""
    check_quorum(quorum, MAX_SEATS, len(quorum), seat)
    return _lagrange(tuple(quorum), seat)


@functools.lru_cache(maxsize=1024)
def _lagrange(quorum: tuple[int, ...], seat: int) -> Scalar:
    numerator = denominator = 1
    for other in quorum:
        if other != seat:
            numerator = numerator * other % GROUP_ORDER
            denominator = denominator * (other - seat) % GROUP_ORDER
    return group.scalar_of(numerator * pow(denominator, -1, GROUP_ORDER))


def public_key(commitments: Sequence[Element]) -> Element:
    """Return Y, the public key of the whole secret. Raises `BadQuorum` without commitments."""
    if not commitments:
        raise BadQuorum("a key has at least one commitment")
    return commitments[0]


def public_share(commitments: Sequence[Element], seat: int) -> Element:
    """Return Y_seat, the public counterpart of a seat's share (M-4.7; RFC 9591 appendix C.2, derive_group_info).

    Raises `BadQuorum` for a seat outside 1..255 and `BadElement` for commitments that give the
    identity there.
    """
    check_quorum([seat], MAX_SEATS, 1, None)
    public_key(commitments)
    powers = [group.scalar_of(pow(seat, degree, GROUP_ORDER)) for degree in range(len(commitments))]
    return group.multi_scalar_sum(powers, commitments)


def verify_share(share: Scalar, seat: int, commitments: Sequence[Element]) -> None:
    """Check a share against the commitments (RFC 9591 appendix C.2, vss_verify). Raises `BadShare`."""
    try:
        expected, held = public_share(commitments, seat), group.base_multiply(share)
    except (BadElement, group.BadScalar) as error:
        raise BadShare(seat) from error
    if not hmac.compare_digest(expected, held):
        raise BadShare(seat)


def combine_shares(shares: Mapping[int, Scalar]) -> Scalar:
    """Recover a secret from exactly t shares by seat (RFC 9591 appendix C.1, secret_share_combine).

    Wrong or too few shares give another scalar, not an error: check the result against something public.
    """
    quorum = sorted(shares)
    if not quorum:
        raise BadQuorum("no share was given")
    terms = [group.scalar_mul(lagrange(quorum, seat), shares[seat]) for seat in quorum]
    return functools.reduce(group.scalar_add, terms)
