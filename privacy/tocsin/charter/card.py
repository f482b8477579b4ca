"""A member's public card: everything a charter says of a member, signed by the member itself.

1. {"member": {…}, "signature": hex} in RFC 8785 JSON; the member as in a charter.
2. The signature is Ed25519 by the card's own identity key over "tocsin/1 card" ‖ 0x1f ‖ RFC 8785 of the member. It
   proves that the keys belong together; whose they are is settled out of band.
3. The CA certificate satisfies `authority`.
"""

from dataclasses import dataclass

from tocsin.charter import signing
from tocsin.charter.authority import parse_authority
from tocsin.charter.canonical_json import canonical, check_canonical, read_json
from tocsin.charter.checks import check_member
from tocsin.charter.document import Member, read_member
from tocsin.charter.errors import BadCharterSignature

DOMAIN = b"tocsin/1 card"
MAX_CARD_BYTES = 1 << 15


@dataclass(frozen=True)
class MemberCard:
    """A member and its own signature (64 bytes), verified. Raises `BadCharter`, of it `BadCharterSignature`."""

    member: Member
    signature: bytes

    def __post_init__(self) -> None:
        check_member(self.member, "$.member")
        parse_authority(self.member.ca, "$.member.ca")
        if not signing.is_signed_by(
            self.member.identity, DOMAIN, canonical(self.member.json()), self.signature
        ):
            raise BadCharterSignature(
                "card-signature",
                "$.signature",
                "the card's own identity key did not sign it: ask for it again",
            )

    def encode(self) -> bytes:
        """Return the card of rule 1."""
        return canonical({"member": self.member.json(), "signature": self.signature.hex()})


def sign_card(member: Member, seed: bytes) -> MemberCard:
    """Return the card of a member; `seed` is its identity key's. Raises `BadCharter` or `BadKey`."""
    return MemberCard(member, signing.sign(DOMAIN, canonical(member.json()), seed))


def parse_card(data: bytes) -> MemberCard:
    """Return the card that exactly these bytes encode, its signature verified. Raises `BadCharter`."""
    root = read_json(data, MAX_CARD_BYTES).members("member", "signature")
    card = MemberCard(read_member(root["member"]), root["signature"].hex())
    check_canonical(data, card.encode())
    return card
