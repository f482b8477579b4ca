"""The rule of whoever cosigns another's log: what is held and what is shown go in, a decision comes out. No I/O.

1. The origin vouches for its checkpoint with a cosignature of its own, dated at most 10 minutes ahead. A tree that is
   smaller than the one held, or larger with an earlier date, is refused (M-6.15).
2. Two checkpoints under one log key fit together if a consistency proof leads from the smaller to the larger:
   our own tree gives the proof if less is shown than is held, the shower gives it if more is shown.
3. If a proof leads to the larger root from another root than the smaller checkpoint's, that proof convicts the origin
   (M-6.20). A proof that leads nowhere convicts nobody: the shower is refused.
4. What is held under an earlier log key convicts nobody, but the tree held still decides how the log may go on.
5. Of one log a day brings at most the charter's entries; a day of silence is saved up, no more (M-6.16). What is
   above waits, step by step. The origin paces its own log by the same count (M-6.24).
6. A log is followed in steps that end at the checkpoints its origin signs at every multiple of `STEP_ENTRIES`
   (M-6.23). Their leaves lead to their roots; where they do not, rules 2 and 3 apply to the step.

`decide` is the whole rule for what an origin shows of its own log, `contradiction` the part that applies to what
anybody shows of any log. A witness that keeps only sizes and roots asks the shower for every proof, a `Path`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from tocsin.node.errors import AtFault
from tocsin.proofs.errors import NotProven
from tocsin.proofs.fork import ForkProof, fork_of, prefix_fork_of
from tocsin.tlog.checkpoint import SignedCheckpoint
from tocsin.tlog.merkle import (
    BadConsistency,
    Hash,
    claimed_power_root,
    claimed_root,
    verify_consistency,
)
from tocsin.wire.values import MemberId

CLOCK_AHEAD_S = 600
DAY_S = 86_400
_US = 1_000_000


class LogFault(AtFault):
    """What a member shows of a log breaks a rule; nothing of it was stored. `culprit()` is who shows it."""


class Forked(LogFault):
    """The origin signed two histories."""


class TreeRolledBack(LogFault):
    """The origin shows a smaller or an older tree than it showed before."""


class FromTheFuture(LogFault):
    """The origin's checkpoint is dated more than 10 minutes ahead of this node's clock."""


class TooFast(LogFault):
    """The log grew by more than the charter allows."""


class Unproven(LogFault):
    """A checkpoint that does not extend what is held, shown without a proof that the origin forked."""


@dataclass(frozen=True)
class Held:
    """What is stored of a log. `signed` is None where nothing is, or where it is signed by an earlier log key.

    `time` is when the origin last vouched for it, unix seconds.
    """

    size: int
    root: Hash
    time: int
    signed: SignedCheckpoint | None


class Need(Enum):
    """Which proof a comparison takes."""

    NOTHING = "nothing"
    OWN_TREE = "our tree shows what it was at the smaller size"
    SHOWER = "the shower proves that the larger tree extends ours"


@dataclass(frozen=True)
class Path:
    """A consistency proof (RFC 6962) from the smaller size to the larger.

    From our own tree it comes with `root_then`, its root at the smaller size. If one from the shower fails where
    the smaller size is a power of two, `first_leaf` and `from_first`, the proof from size 1, name the other root.
    """

    hashes: tuple[Hash, ...]
    root_then: Hash | None = None
    first_leaf: Hash | None = None
    from_first: tuple[Hash, ...] = field(default=())


@dataclass(frozen=True)
class Cosign:
    """The checkpoint may be cosigned once its `grown` entries were verified and stored."""

    grown: int


Decision = Cosign | ForkProof
"""Refusals are raised as `LogFault`."""


def need(held: SignedCheckpoint, shown: SignedCheckpoint) -> Need:
    """Return which proof `contradiction` takes for these two."""
    old, new = held.checkpoint, shown.checkpoint
    if old.size == 0 or new.size in (0, old.size):
        return Need.NOTHING
    return Need.OWN_TREE if new.size < old.size else Need.SHOWER


def extends(held: SignedCheckpoint, shown: SignedCheckpoint, path: Path) -> bool:
    """Say whether the larger tree that is shown extends the one held."""
    old, new = held.checkpoint, shown.checkpoint
    try:
        verify_consistency(old.size, new.size, old.root, new.root, list(path.hashes))
    except BadConsistency:
        return False
    return True


def contradiction(
    shower: MemberId, held: SignedCheckpoint, shown: SignedCheckpoint, path: Path | None
) -> ForkProof | None:
    """Return the proof that the origin forked, None if the two checkpoints fit together.

    `path` is the proof that `need` asks for. Raises `Unproven`, naming the shower (rule 3).
    """
    old, new = held.checkpoint, shown.checkpoint
    if old.size == 0 or new.size == 0 or (old.size, old.root) == (new.size, new.root):
        return None
    if old.size == new.size:
        return fork_of(held, shown)
    if path is None:
        raise ValueError("checkpoints of two sizes are compared with a proof")
    if new.size < old.size:
        if path.root_then is None or path.root_then == new.root:
            return None
        return prefix_fork_of(shown, held, path.root_then, path.hashes)
    if extends(held, shown, path):
        return None
    try:
        return prefix_fork_of(held, shown, _other_root(old.size, new.size, path), path.hashes)
    except (BadConsistency, NotProven) as error:
        raise Unproven(
            shower,
            f"{shower.hex()} shows {new.size} entries of {new.origin}, which do not extend the {old.size} "
            f"held here, and no proof of a fork ({error})",
        ) from error


def decide(
    origin: MemberId, held: Held, shown: SignedCheckpoint, path: Path | None, time: int, now: int
) -> Decision:
    """Decide on the checkpoint that an origin shows of its own log.

    `shown` is signed by the origin's log key, `time` is when the origin vouched for it, `path` is the proof that `need`
    asks for. Raises `FromTheFuture`, `TreeRolledBack`, `Unproven` or `LogFault`.
    """
    size = shown.checkpoint.size
    # M-6.15: a cosignature of the origin more than 10 minutes ahead.
    if time > now + CLOCK_AHEAD_S:
        raise FromTheFuture(origin, f"its checkpoint is dated {time - now} s ahead; compare the clocks")
    if held.signed is not None:
        # M-6.20: a proven fork.
        fork = contradiction(origin, held.signed, shown, path)
        if fork is not None:
            return fork
    elif size == held.size and held.size and shown.checkpoint.root != held.root:
        raise LogFault(origin, f"its new log key signs another history of the {held.size} entries held here")
    # M-6.15: a smaller tree, or one that is larger and older.
    if size < held.size:
        raise TreeRolledBack(origin, f"it shows {size} entries after it showed {held.size}")
    if size > held.size and time < held.time:
        raise TreeRolledBack(
            origin, f"its larger checkpoint is dated {held.time - time} s before the smaller one"
        )
    return Cosign(size - held.size)


@dataclass(frozen=True)
class Allowance:
    """How much one log may grow (rule 5): each entry takes its share of a day, and a day may be run ahead of.

    `paced_until` is when everything appended will have been allowed, `per_day` the charter's entries. In whole unix
    microseconds, so that an origin and its followers count alike, in whatever steps they go.
    """

    paced_until: int
    per_day: int

    def left(self, since: int, time: int) -> int:
        """Return how many entries may be appended at `time`; before `since`, unix seconds, nothing is saved up."""
        return max(0, (time + DAY_S) * _US - self._from(since)) // self._share()

    def after(self, grown: int, since: int) -> int:
        """Return `paced_until` once `grown` more entries are appended."""
        return self._from(since) + grown * self._share()

    def spend(self, origin: MemberId, grown: int, since: int, time: int) -> int:
        """Return `after`. Raises `TooFast` (M-6.16)."""
        left = self.left(since, time)
        if grown > left:
            raise TooFast(
                origin,
                f"flood: the next step has {grown} entries, {left} are allowed by now ({self.per_day} a day); "
                "following resumes as more is allowed",
            )
        return self.after(grown, since)

    def _from(self, since: int) -> int:
        return max(self.paced_until, since * _US)

    def _share(self) -> int:
        return max(1, DAY_S * _US // self.per_day)


def _other_root(old: int, new: int, path: Path) -> Hash:
    if old & (old - 1):
        return claimed_root(old, new, list(path.hashes))
    # A proof from a power of two leaves the smaller root out; one from the first leaf holds it.
    if path.first_leaf is None:
        raise BadConsistency("the shower does not show the first entry")
    return claimed_power_root(old, path.first_leaf, list(path.from_first))
