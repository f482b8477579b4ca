"""Proof that members signed two different charters of one version.

Rules
1. The proof is `tocsin/1 two charters\n` ‖ u32 length ‖ first signed charter ‖ u32 length ‖ second signed charter, each
   as SPEC.md §3 has charters travel (M-3.15).
2. A member is at fault if one of its identity keys signed both documents, which are of one federation and version.
   Identity keys come from charters that the verifier trusts: of this version and of the one before it (M-3.12).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tocsin.charter.document import Charter, parse_charter
from tocsin.charter.envelope import MAX_ENVELOPE_BYTES, SignedCharter, parse_envelope
from tocsin.charter.errors import BadCharter
from tocsin.charter.rules import signers_of_both
from tocsin.primitives.cursor import Cursor
from tocsin.proofs.errors import BadProofFile, NotProven

MAGIC = b"tocsin/1 two charters\n"


@dataclass(frozen=True, slots=True)
class TwoCharters:
    """Two signed charters of one version, in the order in which they were seen."""

    first: SignedCharter
    second: SignedCharter


def encode_two_charters(proof: TwoCharters) -> bytes:
    """Write the proof (rule 1)."""
    envelopes = (proof.first.encode(), proof.second.encode())
    return MAGIC + b"".join(len(envelope).to_bytes(4, "big") + envelope for envelope in envelopes)


def parse_two_charters(data: bytes) -> TwoCharters:
    """Read the proof without trusting it. Raises `BadProofFile`."""
    cursor = Cursor(data, BadProofFile)
    cursor.expect("first line", MAGIC)
    first = cursor.prefixed("first charter", 4, MAX_ENVELOPE_BYTES)
    second = cursor.prefixed("second charter", 4, MAX_ENVELOPE_BYTES)
    cursor.end()
    try:
        return TwoCharters(parse_envelope(first), parse_envelope(second))
    except BadCharter as error:
        raise BadProofFile("charters", str(error)) from None


def verify_two_charters(proof: TwoCharters, charters: Sequence[Charter]) -> tuple[Charter, tuple[bytes, ...]]:
    """Return the first document and the ids of the members that signed both (rule 2).

    `charters` are verified, of any versions. Raises `NotProven`.
    """
    try:
        document = parse_charter(proof.first.document)
        versions = (document.version, document.version - 1)
        trusted = [charter for charter in charters if charter.version in versions]
        if any(charter.federation != document.federation for charter in trusted):
            raise NotProven(f"these charters are of the federation {document.federation}")
        members = signers_of_both(proof.first, proof.second, trusted)
    except BadCharter as error:
        raise NotProven(str(error)) from None
    if not members:
        raise NotProven("no member is shown to have signed two documents of one version")
    return document, members
