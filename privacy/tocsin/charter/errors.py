"""Why a charter, an envelope or a member's card is refused.

Every message names the place as a JSON path, the rule and how to fix it. Charters are public to the federation,
so a member's id may be named; a key or a sealed byte never is.
"""

from tocsin.primitives.errors import CoreError


class BadCharter(CoreError):
    """Root of everything this package refuses: `rule` names the rule broken, `path` the JSON path of the place.

    `culprit()` names a member that signed two documents of one version; nothing else here proves anybody at fault.
    """

    def __init__(self, rule: str, path: str, detail: str) -> None:
        self.rule = rule
        self.path = path
        super().__init__(f"{path}: {detail} (rule {rule})")


class BadAuthority(BadCharter):
    """A member's CA certificate that cannot stand in a charter."""


class BadCharterSignature(BadCharter):
    """A signature that verifies under no identity key of the charters concerned."""


class NotEnoughSignatures(BadCharter):
    """Fewer valid signatures than the quorum; `signers` are the members (16-byte ids) that did sign."""

    def __init__(self, rule: str, path: str, detail: str, signers: frozenset[bytes]) -> None:
        self.signers = signers
        super().__init__(rule, path, detail)


class WrongPin(BadCharter):
    """A founding charter that is not the one whose hash was pinned out of band."""


class ForeignFederation(BadCharter):
    """A charter of another federation, or of another mode of this one."""


class RolledBack(BadCharter):
    """A charter that is not newer than the one already trusted, or was issued before it."""


class Skipped(BadCharter):
    """A charter more than one version ahead: the steps between must be verified first."""


class Expired(BadCharter):
    """The newest charter has expired: it can only be succeeded."""


class NotYetValid(BadCharter):
    """A charter issued in the future."""


class ExpiresEarlier(BadCharter):
    """A charter that expires before its predecessor, so that period numbers could be used twice."""


class PeriodReused(BadCharter):
    """A fresh pepper under a period number that an earlier charter reaches before it expires."""


class PepperKept(BadCharter):
    """Members or client keys changed, but the pepper did not."""


class PeriodChanged(BadCharter):
    """Neither members nor client keys changed, but the period's number, start or pepper did."""


class KeyReplaced(BadCharter):
    """Another public key under a class and epoch that already had one."""


class EpochReused(BadCharter):
    """A new key under an epoch that is not above every earlier one of its class."""


class EpochDropped(BadCharter):
    """A charter without a class that had a key, or without its newest epoch or a newer one."""


class EpochReopened(BadCharter):
    """A later end of overlap for an epoch whose overlap is past."""


class ThresholdLowered(BadCharter):
    """A lower threshold for a class and epoch than a charter before had."""


class OtherDocument(BadCharter):
    """Another document of a version that is stored already, for another attempt at it."""


class KeyUsedTwice(BadCharter):
    """A public key that an earlier charter gave to another class or epoch."""


class NotAMember(BadCharter):
    """An id that no member of this charter has."""


class UnknownClass(BadCharter):
    """A key class that this charter has no key for."""


class UnknownEpoch(BadCharter):
    """An epoch that this charter does not list for the class."""


class TwoCharters(BadCharter):
    """Two documents of one version and attempt: a proof that `members` (16-byte ids) signed both, if any did."""

    def __init__(self, version: int, members: tuple[bytes, ...]) -> None:
        self.version = version
        self.members = members
        names = ", ".join(member.hex() for member in members)
        super().__init__(
            "one-document",
            "$.version",
            f"there are two documents of version {version}, both signed by {names}: keep both as evidence, adopt "
            "neither, and settle with those members which one is withdrawn",
        )

    def culprit(self) -> bytes:
        """Return the first of the members that signed both."""
        return self.members[0]
