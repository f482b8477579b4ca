"""What kind of evidence a type of value is.

1. Types derived from one observation are one family: an address and its network, an e-mail address and its domain, a
   template and its levels. A family counts once, its best value in full.
2. A flag needs two groups. Payment, contact and device describe one person, so they are one group.
3. A holding counts if its days overlap the report's weeks: a telephone number may be four weeks off, a means of payment
   has no date.
4. A type that is not registered is its own family, in the group of its name's first part, or a group of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

ALWAYS = 100_000
"""Days of slack that stand for any date."""
BEHAVIOUR = "behaviour"
_NETWORK, _PERSON, _TOOLING = "network", "person", "tooling"


@dataclass(frozen=True, slots=True)
class EvidenceType:
    """How values of one type count. `slack_days` widens the weeks of a report; `retention_days` is how long it
    lives.
    """

    family: str
    group: str
    slack_days: int = 0
    retention_days: int = 49


_KNOWN = {
    "payment.par": EvidenceType("payment.par", _PERSON, ALWAYS),
    "payment.iban": EvidenceType("payment.iban", _PERSON, ALWAYS),
    "payment.wallet": EvidenceType("payment.wallet", _PERSON, ALWAYS),
    "payment.composite": EvidenceType("payment.composite", _PERSON, ALWAYS, 28),
    "contact.email": EvidenceType("mail", _PERSON),
    "org.domain": EvidenceType("mail", _PERSON),
    "contact.phone": EvidenceType("contact.phone", _PERSON, 28, 28),
    "net.ipv4": EvidenceType("address", _NETWORK, 0, 7),
    "net.ipv4-24": EvidenceType("address", _NETWORK, 0, 7),
    "net.ipv6-64": EvidenceType("address", _NETWORK, 0, 7),
    "net.ja4": EvidenceType("net.ja4", _TOOLING, 0, 28),
    "device.id": EvidenceType("device.id", _PERSON, 0, 28),
    "client.tools": EvidenceType("client.tools", _TOOLING),
    "client.system": EvidenceType("system", _TOOLING),
    "client.system-short": EvidenceType("system", _TOOLING),
    "client.system-band": EvidenceType("system", _TOOLING),
    "prompt.template": EvidenceType("template", _TOOLING),
    "prompt.template-short": EvidenceType("template", _TOOLING),
    "prompt.template-band": EvidenceType("template", _TOOLING),
    "prompt.template-short-band": EvidenceType("template", _TOOLING),
    "behaviour.hours": EvidenceType("behaviour.hours", BEHAVIOUR),
}
_GROUPS = {
    "payment": _PERSON, "contact": _PERSON, "device": _PERSON, "org": _PERSON, "net": _NETWORK, "client": _TOOLING,
    "prompt": _TOOLING, "behaviour": BEHAVIOUR,
}  # fmt: skip


def evidence_type(name: str) -> EvidenceType:
    """Return how values of the type of this name count (rule 4 for one that is not registered)."""
    if known := _KNOWN.get(name):
        return known
    first = name.partition(".")[0]
    slack = ALWAYS if first == "payment" else 28 if name == "contact.phone" else 0
    return EvidenceType(name, _GROUPS.get(first, first), slack)
