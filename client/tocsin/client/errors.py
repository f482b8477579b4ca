"""Everything the client raises, by who has to act.

1. The root is `TocsinError`; no other exception leaves the client, except what a caller's own callback raises. An error
   of the core is wrapped where it enters, and kept as `__cause__`.
2. `Misbehaved`: another party sent something that does not verify. `culprit()` names it. Nothing derived from it was
   used.
3. `Unavailable`: the network failed, or the node cannot serve the request now. Try again later.
4. `RefusedByNode`: the node understood the request and declined it; `reason` is the wire's machine-readable reason.
5. `LocalProblem`: an argument, a file, a key, a charter or the vault on this side must be corrected first.
6. A message says what happened, to what, and what to do next. None carries a value, a key or a secret.
7. Every error can be pickled, so it survives a process pool, and `to_dict()` gives it JSON-ready.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tocsin.client.results import QueryResult


class TocsinError(Exception):
    """The root of everything the client raises.

    `partial` is set by `query` alone: what it found although this error ended it, each match as well verified as in a
    whole result. None elsewhere.
    """

    partial: QueryResult | None = None

    def to_dict(self) -> dict[str, object]:
        """Return {error, message} and what the error names besides, JSON-ready and without values.

        Ids are hex; `culprit` is there where another party is at fault.
        """
        return {"error": type(self).__name__, "message": str(self)} | self._details()

    def _details(self) -> dict[str, object]:
        return {}

    def __reduce__(self) -> tuple[object, ...]:
        return _restored, (type(self), self.args), self.__dict__


def _restored(kind: type[TocsinError], arguments: tuple[object, ...]) -> TocsinError:
    error = kind.__new__(kind)
    error.args = arguments
    return error


# Another party is at fault.


class Misbehaved(TocsinError):
    """Another party sent something that does not verify."""


class NodeMisbehaved(Misbehaved):
    """Your node sent what an honest node cannot send (M-7.11)."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"your node sent an invalid response: {what}; nothing of it was used. Check the node's host and release "
            "before you trust it again"
        )

    def culprit(self) -> str:
        """Return who is at fault."""
        return "your node"

    def _details(self) -> dict[str, object]:
        return {"culprit": self.culprit()}


class PeerMisbehaved(Misbehaved):
    """Another member sent something that does not verify. `member` is its id (16 bytes)."""

    def __init__(self, member: bytes, name: str, what: str) -> None:
        self.member = member
        self.member_name = name
        super().__init__(f"member {name} ({member.hex()}) misbehaved: {what}")

    def culprit(self) -> str:
        """Return who is at fault."""
        return self.member_name

    def _details(self) -> dict[str, object]:
        return {"culprit": self.culprit(), "member": self.member.hex()}


class BadPartial(PeerMisbehaved):
    """An evaluator signed an evaluation whose proof fails, and no quorum without it was available.

    `culprits` are the ids (16 bytes) of all evaluators caught in this batch; `member` is the first.
    """

    def __init__(self, culprits: Mapping[bytes, str]) -> None:
        self.culprits = tuple(culprits)
        first, name = next(iter(culprits.items()))
        others = len(culprits) - 1
        super().__init__(
            first,
            name,
            "it signed an evaluation whose proof fails"
            + (f" (and so did {others} more)" if others else "")
            + "; the batch was dropped and your node keeps the signed evidence. Raise it with the federation",
        )

    def _details(self) -> dict[str, object]:
        return super()._details() | {"culprits": [member.hex() for member in self.culprits]}


class BadEvidence(Misbehaved):
    """Evidence that does not prove what it claims. Who made it wrong is not known: whoever passed it on may have."""


# The network or the node cannot serve the request now.


class Unavailable(TocsinError):
    """The node, the network or enough evaluators could not be reached."""


class TimedOut(Unavailable):
    """The call's own `timeout` ended. What was paid for by then is kept; what was sealed waits in the outbox."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        super().__init__(
            f"the call did not finish within its timeout of {seconds:g} s; what was done by then is kept: call again"
        )


class Cancelled(Unavailable):
    """The call was cancelled by its caller. What was paid for by then is kept."""


# The node declined.


class RefusedByNode(TocsinError):
    """The node declined. `reason` is as in the wire's comments, `field` the offending field where it was named."""

    def __init__(self, reason: str, message: str, field: str | None = None) -> None:
        self.reason = reason
        self.field = field
        super().__init__(f"the node refused ({reason}{f', {field}' if field else ''}): {message}")

    def _details(self) -> dict[str, object]:
        return {"reason": self.reason, "field": self.field}


class BudgetExhausted(RefusedByNode):
    """The member's evaluations of this class and epoch are used up."""


class StaleCharter(RefusedByNode):
    """Client and committee do not know the same charter."""


# Something on this side must be corrected.


class LocalProblem(TocsinError):
    """Something on this side must be corrected first."""


class BadArgument(LocalProblem):
    """An argument of a wrong type. `field` names it, `position` is its place in the call where there are several."""

    def __init__(self, field: str, wanted: str, got: object, position: int | None = None) -> None:
        self.field = field
        self.position = position
        where = "" if position is None else f" at position {position}"
        # Type and length only: what was given may be a user's value.
        length = f" of {len(got)}" if isinstance(got, tuple | list | bytes) else ""
        super().__init__(f"{field}{where} must be {wanted}, got {type(got).__name__}{length}")

    def _details(self) -> dict[str, object]:
        return {"field": self.field, "position": self.position}


class ValueRefused(LocalProblem):
    """A value that has no canonical form under its type, so nobody can match it.

    `position` is its place in the call (None where there is one value alone), `rule` a stable identifier such as
    `iban.checksum`, `fix` what to do. None of them holds the value.
    """

    def __init__(self, position: int | None, type: str, rule: str, fix: str) -> None:
        self.position = position
        self.type = type
        self.rule = rule
        self.fix = fix
        where = "" if position is None else f"value {position}: "
        super().__init__(f"{where}{type}: {fix} ({rule})")

    def _details(self) -> dict[str, object]:
        return {"position": self.position, "type": self.type, "rule": self.rule, "fix": self.fix}


class ValuesRefused(LocalProblem):
    """Values of a query were refused; all others were screened, and what matched is in `partial`.

    `refused` holds one `ValueRefused` for each. Raised so that a value that was not screened never passes for one
    that nobody reported; `query(..., skip_refused=True)` returns the result instead.
    """

    def __init__(self, refused: Sequence[ValueRefused], partial: QueryResult) -> None:
        self.refused = tuple(refused)
        self.partial = partial
        count = len(self.refused)
        super().__init__(
            f"{count:,} of {count + partial.queried:,} values {'was' if count == 1 else 'were'} refused and not "
            f"screened, the first: {self.refused[0]}. Correct them, or pass skip_refused=True to screen the others"
        )

    def _details(self) -> dict[str, object]:
        return {"refused": [refusal.to_dict() for refusal in self.refused]}


class DraftRefused(LocalProblem):
    """A report that the rules do not allow.

    `position` is its place in the call, `field` the field of the draft, `rule` a stable identifier, `fix` what is
    wrong and what to do.
    """

    def __init__(self, position: int, field: str, rule: str, fix: str) -> None:
        self.position = position
        self.field = field
        self.rule = rule
        self.fix = fix
        super().__init__(f"report {position}: {fix} ({rule})")

    def _details(self) -> dict[str, object]:
        return {"position": self.position, "field": self.field, "rule": self.rule, "fix": self.fix}


class RoomDraftRefused(LocalProblem):
    """What a room's entry may not say. `field`, `rule` and `fix` as in `DraftRefused`."""

    def __init__(self, field: str, rule: str, fix: str) -> None:
        self.field = field
        self.rule = rule
        self.fix = fix
        super().__init__(f"{fix} ({rule})")

    def _details(self) -> dict[str, object]:
        return {"field": self.field, "rule": self.rule, "fix": self.fix}


class NotInRoom(LocalProblem):
    """A room in which you have said nothing, so there is nothing to link."""

    def __init__(self, room: str) -> None:
        self.room = room
        super().__init__(f"you have no entry in room {room}; join it first, then link it")

    def _details(self) -> dict[str, object]:
        return {"room": self.room}


class SubmissionLost(LocalProblem):
    """A sealed submission in the outbox that can no longer be sent; it was dropped."""


class UnknownMember(LocalProblem):
    """An id that no member of the charter has."""

    def __init__(self, member: bytes) -> None:
        self.member = member
        super().__init__(f"no member of the charter has the id {member.hex()}; `tocsin status` lists them")

    def _details(self) -> dict[str, object]:
        return {"member": self.member.hex()}


class EntryErased(LocalProblem):
    """The body of an entry was erased, since the entry expired or was retracted, so it can no longer be exported."""

    def __init__(self, member: bytes, name: str, index: int) -> None:
        self.member = member
        self.index = index
        super().__init__(
            f"the body of entry {index} of {name}'s log was erased (expired or retracted); nothing is left to export"
        )

    def _details(self) -> dict[str, object]:
        return {"member": self.member.hex(), "index": self.index}


class FolderUnusable(LocalProblem):
    """A folder that evidence cannot be written to or read from: not empty, not writable, or a file is missing."""


class BadConfig(LocalProblem):
    """The client's configuration file, or a file that it names, cannot be used."""


class CharterRefused(LocalProblem):
    """A charter that cannot be used: expired, of another federation, or naming tables that this release lacks."""


class UntrustedCharter(CharterRefused):
    """A charter that honest members cannot have made, or one older than the client has verified."""


class WrongPepper(LocalProblem):
    """The pepper sealed for this member does not open, or is not the one the charter commits to."""


class BadVault(LocalProblem):
    """The vault cannot be used: damaged, of another release, locked or not writable."""


class ForeignVault(BadVault):
    """The vault belongs to another member, federation or key."""


class ClientClosed(LocalProblem):
    """The client was closed; open another with `Client.connect`."""

    def __init__(self) -> None:
        super().__init__("this client is closed; open another with Client.connect")


class ForkedClient(LocalProblem):
    """The client was opened in the parent process, and its threads and connections did not survive the fork."""

    def __init__(self, opened_in: int, used_in: int) -> None:
        super().__init__(
            f"this client was opened in process {opened_in} and cannot be used in process {used_in} after a fork; "
            "call Client.connect in each process"
        )
