"""Dealing class keys: one process makes the shares of every class and seals each to the member that holds the seat.

The dealer could know the keys: they are forgotten here, but nothing proves that to the others. It serves demonstrations
and federations that trust whoever runs it, until the committee generates its keys together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from tocsin.charter.document import Charter, ClassKey
from tocsin.client.system import random_bytes
from tocsin.founding.members import FoundingError
from tocsin.indicators.registry import TYPES, KeyClass
from tocsin.oprf.group import random_scalar
from tocsin.oprf.shares import split
from tocsin.oprf.threshold import MAX_COMMITTEE
from tocsin.sealing import hpke

WARNING = (
    "whoever runs this process could know every class key and search the federation's values offline. "
    "Deal on a machine that all members watch, or for a demonstration; distributed generation is to follow."
)

FIRST_EPOCH = 1
DEFAULT_COMMITTEE = 3
DEFAULT_BUDGET = 10_000_000
"""Evaluations a member may ask of one seat in one epoch: what a provider of ten million accounts screens."""

# A class without a registered type yet: the skeleton of a prompt has 8 surprising shingles at least.
_UNREGISTERED_STRENGTH = 40


@dataclass(frozen=True)
class Seats:
    """Who holds the shares: member ids by seat, how many are needed, and Q by class where it is not the default."""

    committee: Sequence[bytes]
    threshold: int
    budgets: Mapping[KeyClass, int] = field(default_factory=dict)


def deal(charter: Charter, seats: Seats) -> tuple[Charter, Mapping[bytes, Mapping[str, bytes]]]:
    """Return the charter with a fresh key for every class, and each member's sealed share files by name.

    A share file `<class>-<epoch>-<seat>.share` is HPKE to the member's `node_hpke` key of a 32-byte scalar.
    """
    count = len(seats.committee)
    if not 1 <= seats.threshold <= count <= MAX_COMMITTEE:
        raise FoundingError(
            f"a committee of {count} with threshold {seats.threshold}: 1 ≤ threshold ≤ committee ≤ {MAX_COMMITTEE}"
        )
    classes = []
    files: dict[bytes, dict[str, bytes]] = {member.id: {} for member in charter.members}
    for key_class in KeyClass:
        dealt = split(random_scalar(random_bytes), count, seats.threshold, random_bytes)
        classes.append(
            ClassKey(
                key_class=int(key_class),
                name=key_class.label,
                epoch=FIRST_EPOCH,
                threshold=seats.threshold,
                committee=tuple(seats.committee),
                commitments=dealt.commitments,
                budget=seats.budgets.get(key_class, DEFAULT_BUDGET),
                smallest_space=_smallest_space(key_class),
                retention_days=key_class.retention_days,
                overlap_until=None,
            )
        )
        for seat, (holder, share) in enumerate(zip(seats.committee, dealt.shares, strict=True), 1):
            info = hpke.share_info(charter.federation, int(key_class), FIRST_EPOCH, seat, holder)
            name = share_name(int(key_class), FIRST_EPOCH, seat)
            files[holder][name] = hpke.seal_to(charter.member(holder).node_hpke, info, share)
    return replace(charter, classes=tuple(classes)), files


def share_name(key_class: int, epoch: int, seat: int) -> str:
    """Name the file of one seat's sealed share."""
    return f"{key_class}-{epoch}-{seat}.share"


def seats_for(charter: Charter, named: Sequence[str] | None) -> list[bytes]:
    """Return the committee by names or ids, by default the first three members. Raises FoundingError."""
    if named is None:
        return [member.id for member in charter.members[:DEFAULT_COMMITTEE]]
    known = {member.name.casefold(): member.id for member in charter.members}
    known |= {member.id.hex(): member.id for member in charter.members}
    try:
        return [known[name.casefold()] for name in named]
    except KeyError as unknown:
        names = ", ".join(member.name for member in charter.members)
        raise FoundingError(f"no member is called {unknown.args[0]}: the draft has {names}") from None


def _smallest_space(key_class: KeyClass) -> int:
    strengths = [type.min_strength for type in TYPES.values() if type.key_class is key_class]
    return int(2 ** min(strengths, default=_UNREGISTERED_STRENGTH))
