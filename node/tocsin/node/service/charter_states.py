"""Which charter is in force: a state machine. Events go in; the next state, what to store and what to do come out.

| state        | a charter arrives that …                          | next state     | store                 | then     |
|--------------|---------------------------------------------------|----------------|-----------------------|----------|
| `NoCharter`  | is version 1 under the pin (M-3.4)                | `InForce(1)`   | it, our CHARTER entry | announce |
| `NoCharter`  | is anything else                                  | `NoCharter`    | –                     | refuse   |
| `InForce(n)` | is stored already                                 | `InForce(n)`   | signatures it lacked, | –        |
|              |                                                   |                | our CHARTER entry     |          |
| `InForce(n)` | is version n + 1 and verifies against n (M-3.5)   | `InForce(n+1)` | it, our CHARTER entry | announce |
| `InForce(n)` | is another document of a stored version, signed   | `InForce(n)`   | both, once for each   | refuse   |
|              | by a member that signed the stored one (M-3.12)   |                | version and culprit   |          |
| `InForce(n)` | is another document of a stored version, not so   | `InForce(n)`   | –                     | refuse   |
| `InForce(n)` | is anything else (older, skipping, badly signed)  | `InForce(n)`   | –                     | refuse   |

1. A version never goes back and is never skipped.
2. The adapter stores first, in one transaction, and acts then: what is announced is durable.
3. An expired charter stays in force, to be followed under and to be succeeded (M-3.11).
4. What is stored under a version is never replaced by another document, whether or not this process has it in force.
5. A signature that a relay stripped binds its signer all the same: the document that arrives again with it is logged
   by the member that made it, and the signature is kept (M-3.12).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from tocsin.charter.chain import verify_step
from tocsin.charter.document import Charter, parse_charter
from tocsin.charter.envelope import SignedCharter, merge_signatures
from tocsin.charter.errors import BadCharter, ForeignFederation, OtherDocument, TwoCharters
from tocsin.charter.rules import conflict, verified_signatures
from tocsin.wire.values import MemberId


@dataclass(frozen=True)
class Terms:
    """What a node knows before any charter: its federation, its member, and the SHA-256 of charter 1."""

    federation: str
    member: MemberId
    pin: bytes | None


@dataclass(frozen=True)
class NoCharter:
    """No charter is stored."""


@dataclass(frozen=True)
class InForce:
    """A charter is in force: the last of `chain`, which ascends from version 1.

    `convicted` are the (version, member) pairs that are recorded already.
    """

    chain: tuple[Charter, ...]
    convicted: frozenset[tuple[int, bytes]] = frozenset()

    @property
    def charter(self) -> Charter:
        """The charter in force."""
        return self.chain[-1]


State = NoCharter | InForce


@dataclass(frozen=True)
class Received:
    """The event: a charter came from the store, the member's file or a peer. `now` is unix seconds.

    `stored` is the one of the same version in the store, None where there is none.
    """

    signed: SignedCharter
    stored: SignedCharter | None
    now: int


@dataclass(frozen=True)
class StoreCharter:
    """Store the charter; if `logged`, queue the CHARTER entry that says this member signed it."""

    charter: Charter
    signed: SignedCharter
    logged: bool

    @property
    def version(self) -> int:
        """The charter's version."""
        return self.charter.version


@dataclass(frozen=True)
class StoreSignatures:
    """Store a charter that is stored already with the signatures it lacked; `logged` as in `StoreCharter`."""

    version: int
    signed: SignedCharter
    logged: bool


@dataclass(frozen=True)
class StoreConflict:
    """Store two charters of one version as evidence against the members that signed both."""

    first: SignedCharter
    second: SignedCharter
    error: TwoCharters


@dataclass(frozen=True)
class Announce:
    """Tell the node's other parts that this charter is in force now."""

    charter: Charter


@dataclass(frozen=True)
class Refuse:
    """Answer whoever brought the charter with this error."""

    error: BadCharter


@dataclass(frozen=True)
class Step:
    """What an event leads to. `store` is made durable before `effect` happens."""

    state: State
    store: StoreCharter | StoreSignatures | StoreConflict | None = None
    effect: Announce | Refuse | None = None


def step(terms: Terms, state: State, event: Received) -> Step:
    """Return the transition of the table that an event takes. Raises nothing; refusals are effects."""
    chain = state.chain if isinstance(state, InForce) else ()
    if event.stored is not None and event.stored.document == event.signed.document:
        return Step(state, _more_signatures(terms, chain, event.stored, event.signed))
    try:
        if event.stored is not None:
            _check_no_conflict(chain, event.stored, event.signed)
        charter = verify_step(chain, event.signed, terms.pin, event.now)
        if event.stored is not None:
            raise OtherDocument(
                "one-document",
                "$.version",
                f"another document of version {charter.version} is stored here already: the members agreed on that "
                "one; withdraw the other",
            )
        if charter.federation != terms.federation:
            raise ForeignFederation(
                "federation",
                "$.federation",
                f"it is of {charter.federation}, this node is configured for {terms.federation}",
            )
    except TwoCharters as error:
        return _convict(state, event, error)
    except BadCharter as error:
        return Step(state, None, Refuse(error))
    convicted = state.convicted if isinstance(state, InForce) else frozenset()
    logged = any(signer == terms.member for signer, _ in event.signed.signatures)
    return Step(
        InForce((*chain, charter), convicted),
        StoreCharter(charter, event.signed, logged),
        Announce(charter),
    )


def _check_no_conflict(chain: tuple[Charter, ...], stored: SignedCharter, other: SignedCharter) -> None:
    """Check that nobody signed both, by a key of this version or of the one before it. Raises `BadCharter`."""
    version = parse_charter(stored.document).version
    conflict(stored, other, next((charter for charter in chain if charter.version == version - 1), None))


def _more_signatures(
    terms: Terms, chain: tuple[Charter, ...], stored: SignedCharter, again: SignedCharter
) -> StoreSignatures | None:
    # Peers show the charter at every round: one that brings nothing new costs nothing.
    if set(again.signatures) <= set(stored.signatures):
        return None
    version = parse_charter(stored.document).version
    trusted = [charter for charter in chain if charter.version in (version - 1, version)]
    fresh = verified_signatures(again, trusted) - set(stored.signatures)
    if not fresh:
        return None
    merged = merge_signatures(stored, SignedCharter(stored.document, tuple(fresh)))
    return StoreSignatures(version, merged, any(signer == terms.member for signer, _ in fresh))


def _convict(state: State, event: Received, error: TwoCharters) -> Step:
    culprits = frozenset((error.version, member) for member in error.members)
    if event.stored is None or not isinstance(state, InForce) or culprits <= state.convicted:
        return Step(state, None, Refuse(error))
    return Step(
        replace(state, convicted=state.convicted | culprits),
        StoreConflict(event.stored, event.signed, error),
        Refuse(error),
    )
