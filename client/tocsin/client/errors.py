"""What can go wrong in the client, by who has to act.

1. `Misbehaved`: the other side is wrong and said something that does not verify. Its subclasses name the culprit:
   the own node, or another member. Nothing derived from it was used.
2. `Unavailable`: the pipe failed, or the node could not do it now. Trying later may help.
3. `RefusedByNode`: the node understood and said no; `reason` is the machine-readable reason of the wire.
4. `LocalProblem`: a file, a key, a charter or an argument on this side.
5. A message says what, where and how to mend it. None carries a value, a key or a secret.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tocsin.client.model import QueryResult


class TocsinError(Exception):
    """The root of everything the client raises on purpose.

    `partial` is what a query found although this error ended it: the matches of every value that was evaluated by then
    or is in the vault, each as well verified as in a whole result. None where no query raised it.
    """

    partial: QueryResult | None = None


class Misbehaved(TocsinError):
    """The other side is wrong."""


class NodeMisbehaved(Misbehaved):
    """The member's own node answered what an honest node cannot answer."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"the own node misbehaved: {what}; nothing of its answer was used. Check the node's host and release "
            "before trusting it again"
        )


class PeerMisbehaved(Misbehaved):
    """Another member said something that does not verify; `member` is its id (16 bytes)."""

    def __init__(self, member: bytes, name: str, what: str) -> None:
        self.member = member
        super().__init__(f"member {name} ({member.hex()}) misbehaved: {what}")


class BadPartial(PeerMisbehaved):
    """An evaluator signed a partial evaluation whose proof fails, and no quorum without it could be had.

    `culprits` are the ids (16 bytes) of all evaluators caught in this batch; `member` is the first.
    """

    def __init__(self, culprits: dict[bytes, str]) -> None:
        self.culprits = tuple(culprits)
        first, name = next(iter(culprits.items()))
        others = len(culprits) - 1
        super().__init__(
            first,
            name,
            "it signed an evaluation whose proof fails"
            + (f" (and {others} other evaluators too)" if others else "")
            + "; the batch was dropped and the node holds the signed evidence. Raise it with the federation",
        )


class Unavailable(TocsinError):
    """The node, the network or enough evaluators could not be reached."""


class RefusedByNode(TocsinError):
    """The node said no. `reason` is as in the wire's comments, `field` the offending field where it was named."""

    def __init__(self, reason: str, message: str, field: str | None = None) -> None:
        self.reason = reason
        self.field = field
        super().__init__(f"the node refused ({reason}{f', {field}' if field else ''}): {message}")


class BudgetExhausted(RefusedByNode):
    """The member's evaluations of this class and epoch are used up."""


class StaleCharter(RefusedByNode):
    """Client and committee do not know the same charter."""


class LocalProblem(TocsinError):
    """Something on this side has to be mended first."""


class BadConfig(LocalProblem):
    """The client's configuration file, or what it points to, cannot be used."""


class CharterRefused(LocalProblem):
    """A charter that cannot be worked under: expired, of another federation, or of tables this release has not."""


class UntrustedCharter(CharterRefused):
    """A charter that honest members cannot have made, or that takes this client back: somebody misbehaved."""


class WrongPepper(LocalProblem):
    """The pepper sealed for this member does not open, or is not the one the charter commits to."""


class BadVault(LocalProblem):
    """The vault cannot be used: damaged, of a later release, or not writable."""


class ForeignVault(BadVault):
    """The vault belongs to another member, federation or key."""


class DraftRefused(LocalProblem):
    """A report that the rules do not allow; `position` is its place in the call, `rule` says why, `mend` what to do."""

    def __init__(self, position: int, rule: str, mend: str) -> None:
        self.position = position
        self.rule = rule
        self.mend = mend
        super().__init__(f"report {position}: refused by rule {rule}: {mend}")


class SubmissionLost(LocalProblem):
    """A sealed submission in the outbox that can no longer be sent."""


class BadEvidence(Misbehaved):
    """Files of evidence that do not prove what they claim."""
