"""An organisation's registrable domain.

1. A domain name, not a URL or an address; canonical as in domain.py.
2. Cut to the label below its public suffix, by the shipped list with its private section, so that the
   tenants of one hosting service stay apart. A public suffix alone, or under an unknown one, is refused.
3. Names for documentation and tests are cut to two labels, where the charter says test.
4. Free-mail providers are refused (M-9.8): their domain joins strangers.
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
    if is_under(domain, name_set(snapshots.free_mail, "domains")):
        raise Refused(
            DOMAIN, "domain.free-mail", "anybody may hold a mailbox there; give contact.email instead"
        )
    registrable = public_suffixes(snapshots.public_suffix).privatesuffix(domain)
    if registrable is None:
        raise Refused(
            DOMAIN, "domain.suffix", "this is a public suffix or below none; give a registered name"
        )
    return registrable.encode("ascii")
