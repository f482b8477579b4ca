"""Partials that this node signed lately, so that a batch that is asked again costs no curve work.

1. An answer is kept under all that it depends on: caller, class, epoch, committee, seat, quorum and batch.
2. Of each caller at most `MOST_ELEMENTS` elements are kept, the newest; another caller's are never dropped for them.
   What a restart forgets is multiplied again.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from tocsin.wire.limits import MAX_ELEMENTS
from tocsin.wire.values import MemberId, PartialRequest, SignedPartial

MOST_ELEMENTS = 4 * MAX_ELEMENTS
_Key = tuple[bytes, int, int, bytes, int, tuple[int, ...]]


@dataclass
class _Kept:
    """One caller's answers, oldest first, and how many elements they have."""

    answers: OrderedDict[_Key, SignedPartial] = field(default_factory=OrderedDict)
    elements: int = 0


class SignedAnswers:
    """It belongs to the event loop's thread."""

    def __init__(self) -> None:
        self._kept: dict[MemberId, _Kept] = {}

    def find(self, caller: MemberId, batch: bytes, request: PartialRequest) -> SignedPartial | None:
        """Return what was signed for exactly this batch and quorum, if it is still kept."""
        kept = self._kept.get(caller)
        return None if kept is None else kept.answers.get(_key(batch, request))

    def keep(self, caller: MemberId, batch: bytes, request: PartialRequest, signed: SignedPartial) -> None:
        """Keep what was signed, and drop the caller's oldest beyond its share."""
        kept, key = self._kept.setdefault(caller, _Kept()), _key(batch, request)
        if key in kept.answers:
            return
        kept.answers[key] = signed
        kept.elements += len(signed.partial.evaluated)
        while kept.elements > MOST_ELEMENTS:
            _, oldest = kept.answers.popitem(last=False)
            kept.elements -= len(oldest.partial.evaluated)


def _key(batch: bytes, request: PartialRequest) -> _Key:
    return (
        batch,
        request.key_class,
        request.epoch,
        request.committee_hash,
        request.seat,
        tuple(request.quorum),
    )
