"""Addresses of people: e-mail and telephone.

E-mail
1. Folded (text.fold): NFKC, lower case. The domain becomes A-labels (domain.py). No DNS look-up, ever (M-9.5).
2. The local part is a dot-atom (RFC 5321 section 4.1.2, RFC 6531 for other scripts); quoted strings,
   comments and address literals are refused.
3. The provider table then removes what that provider ignores, so that one mailbox has one form.
4. Neither the address nor its canonical form may hold a card number.
Telephone
5. International form with its plus; spaces, dots, dashes, slashes, brackets and a bracketed trunk `(0)` are
   removed and what is left is the canonical E.164 form: no library decides about bytes.
6. phonenumbers must call exactly this number valid. Ranges that regulators keep for fiction count as tests.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from tocsin.indicators.cards import refuse_card_number
from tocsin.indicators.domain import canonical_domain
from tocsin.indicators.refusal import Mode, Refused
from tocsin.indicators.snapshot_files import Snapshots, table
from tocsin.indicators.text import fold

EMAIL = "contact.email"
PHONE = "contact.phone"

_PHONE_FORM = re.compile(r"\+[0-9 ().\-/\u00a0\u2010-\u2013]+")
_PHONE_FILLING = re.compile(r"[^+0-9]")


@cache
def _provider_rules(name: str) -> dict[str, Any]:
    return {domain: rule for rule in table(name)["rules"] for domain in rule["domains"]}


@cache
def _subdomain_providers(name: str) -> tuple[str, ...]:
    return tuple(
        domain for rule in table(name)["rules"] if rule.get("subdomains") for domain in rule["domains"]
    )


def _mailbox(local: str, domain: str, snapshots: Snapshots) -> tuple[str, str]:
    for provider in _subdomain_providers(snapshots.email_rules):
        # anything@mailbox.provider is delivered to mailbox@provider.
        if domain.endswith("." + provider):
            mailbox = domain.removesuffix("." + provider)
            if "." not in mailbox:
                local, domain = mailbox, provider
            break
    rule = _provider_rules(snapshots.email_rules).get(domain)
    if rule is None:
        return local, domain
    if separator := rule.get("separator"):
        local = local.partition(separator)[0]
    for ignored in rule.get("ignored", ""):
        local = local.replace(ignored, "")
    for written, meant in rule.get("same", []):
        local = local.replace(written, meant)
    return local, str(rule.get("canonical_domain", domain))


def canonical_email(text: str, mode: Mode, snapshots: Snapshots) -> bytes:
    """`local@domain` in UTF-8, rules 1 to 4. Raises Refused (rules `email.*`, `domain.*`, `card.number`)."""
    refuse_card_number(EMAIL, text)
    local, at, domain_text = fold(EMAIL, text, snapshots).rpartition("@")
    if not at or not local or not domain_text:
        raise Refused(EMAIL, "email.form", "give one address, as local@domain")
    domain = canonical_domain(EMAIL, domain_text, mode, snapshots)

    from email_validator import EmailNotValidError, validate_email

    try:
        # Judged behind a neutral domain: the library's own view of special-use names is not ours.
        validate_email(f"{local}@a.aa", check_deliverability=False, allow_quoted_local=False)
        well_formed = True
    except (EmailNotValidError, UnicodeError):
        well_formed = False
    if not well_formed or len(local.encode("utf-8", "replace")) > 64:
        raise Refused(
            EMAIL, "email.local", "the part before the @ is not a plain mailbox name of at most 64 bytes"
        )
    local, domain = _mailbox(local, domain, snapshots)
    if local.startswith(".") or local.endswith("."):
        raise Refused(EMAIL, "email.local", "a dot may not stand next to the provider's tag or at an end")
    if not local:
        raise Refused(EMAIL, "email.empty", "nothing is left before the @ under the provider's own rules")
    refuse_card_number(EMAIL, f"{local}@{domain}")
    canonical = f"{local}@{domain}".encode()
    if len(canonical) > 254:
        raise Refused(EMAIL, "email.length", "an address has at most 254 bytes (RFC 5321 section 4.5.3.1.3)")
    return canonical


@cache
def _fictional(name: str) -> re.Pattern[str]:
    patterns = [pattern for entry in table(name)["phones"] for pattern in entry["e164"]]
    return re.compile("|".join(pattern.replace("+", r"\+").replace("x", "[0-9]") for pattern in patterns))


def canonical_phone(text: str, mode: Mode, snapshots: Snapshots) -> bytes:
    """E.164 in ASCII with its plus, rules 5 and 6. Raises Refused (rules `phone.*`)."""
    if not _PHONE_FORM.fullmatch(text):
        raise Refused(
            PHONE, "phone.form", "write the number in international form, + country code number, no extension"
        )
    number = _PHONE_FILLING.sub("", text.replace("(0)", ""))
    if not 8 <= len(number) <= 16:
        raise Refused(PHONE, "phone.length", "an E.164 number has 7 to 15 digits")
    if _fictional(snapshots.reserved).fullmatch(number):
        if mode is Mode.LIVE:
            raise Refused(
                PHONE, "phone.test", "numbers kept for fiction are accepted only where the charter says test"
            )
        return number.encode("ascii")

    import phonenumbers

    try:
        parsed = phonenumbers.parse(number, None)
    except phonenumbers.NumberParseException:
        parsed = None
    if parsed is None or not phonenumbers.is_valid_number(parsed):
        raise Refused(PHONE, "phone.invalid", "no numbering plan assigns this number; check its digits")
    if phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164) != number:
        raise Refused(PHONE, "phone.trunk", "leave out the national trunk prefix after the country code")
    return number.encode("ascii")
