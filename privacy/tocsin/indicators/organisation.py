"""An organisation's registrable domain.

1. A domain name, not a URL or an address; canonical as in domain.py.
2. Cut to the label below its public suffix, by the shipped list with its private section, so that the
   tenants of one hosting service stay apart. A public suffix alone, or under an unknown one, is refused.
3. Names for documentation and tests are cut to two labels, where the charter says test.
4. Hosting services that name their tenants below a domain of theirs (`contoso.onmicrosoft.com`) and are missing from
   that list are suffixes too.
5. Domains at which strangers have mailboxes are refused: free and carriers' mail, national domains of such a brand,
   relays, throw-away mail.
"""

from __future__ import annotations

from tocsin.indicators.cards import refuse_card_number
from tocsin.indicators.domain import canonical_domain, is_test_domain, is_under
from tocsin.indicators.refusal import Mode, Refused
from tocsin.indicators.snapshot_files import Snapshots, name_set, public_suffixes

DOMAIN = "org.domain"


def canonical_organisation(text: str, mode: Mode, snapshots: Snapshots) -> bytes:
    """The registrable domain in A-labels, ASCII. Raises Refused (rules `domain.*`, `card.number`)."""
    refuse_card_number(DOMAIN, text)
    if "@" in text or "/" in text or ":" in text:
        raise Refused(
            DOMAIN, "domain.form", "give the domain name alone, without scheme, path, port or mailbox"
        )
    domain = canonical_domain(DOMAIN, text, mode, snapshots)
    refuse_card_number(DOMAIN, domain)
    if is_test_domain(domain, snapshots):
        return ".".join(domain.split(".")[-2:]).encode("ascii")
    _refuse_shared(domain, snapshots)
    registrable = public_suffixes(snapshots.public_suffix).privatesuffix(domain)
    tenants = name_set(snapshots.free_mail, "tenant_suffixes")
    labels = domain.split(".")
    for start in range(len(labels)):
        if ".".join(labels[start:]) in tenants:
            registrable = ".".join(labels[start - 1 :]) if start else None
            break
    if registrable is None:
        raise Refused(
            DOMAIN,
            "domain.suffix",
            "strangers register names below this one; give the organisation's own name",
        )
    return registrable.encode("ascii")


def _refuse_shared(domain: str, snapshots: Snapshots) -> None:
    """Raise Refused where rule 5 applies."""
    if is_under(domain, name_set(snapshots.free_mail, "relays")):
        raise Refused(
            DOMAIN, "domain.relay", "a relay hides everybody's mailbox behind this name; give contact.email"
        )
    if is_under(domain, name_set(snapshots.free_mail, "disposable")):
        raise Refused(
            DOMAIN, "domain.disposable", "anybody may use a throw-away mailbox there; give contact.email"
        )
    registrable = public_suffixes(snapshots.public_suffix).privatesuffix(domain) or domain
    brand = registrable.partition(".")[0]
    if is_under(domain, name_set(snapshots.free_mail, "shared")) or brand in name_set(
        snapshots.free_mail, "brands"
    ):
        raise Refused(
            DOMAIN, "domain.free-mail", "anybody may hold a mailbox there; give contact.email instead"
        )
