"""Addresses of people: e-mail and telephone.

E-mail
1. Folded (text.fold): NFKC, lower case. The domain becomes A-labels (domain.py). No DNS look-up, ever (M-9.5).
2. The local part is a dot-atom (RFC 5321 section 4.1.2, RFC 6531 for other scripts); quoted strings,
   comments and address literals are refused.
3. The provider table then removes what that provider ignores, so that one mailbox has one form.
4. Neither the address nor its canonical form may hold a card number.
Telephone
5. International form with its plus, or a `tel:` URI of one (RFC 3966) without parameters; spaces of any width, dots,
   dashes, slashes and brackets are removed and what is left is the E.164 form: no library decides about bytes.
6. A bracketed zero right after the country code, as in `+44 (0)20`, is dialled inside the country only and is dropped,
   but for countries whose numbers keep it: there `+39 (0)6` is +3906, and a number that fits neither way is refused.
7. Where a country lengthened its numbers, the old form becomes the new one if nothing else can be meant.
8. phonenumbers must call exactly this number valid. Ranges that regulators keep for fiction count as tests.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from tocsin.indicators.cards import refuse_card_number
from tocsin.indicators.domain import canonical_domain
from tocsin.indicators.refusal import Mode, Refused
from tocsin.indicators.snapshot_files import Snapshots, is_public_suffix, table
from tocsin.indicators.text import fold

if TYPE_CHECKING:
    from phonenumbers import PhoneNumber

EMAIL = "contact.email"
PHONE = "contact.phone"

_SPACES = r" \u00a0\u2000-\u200a\u202f\u3000"
_DASHES = r"\-\u2010-\u2015\u2212\uff0d"
_PHONE_FORM = re.compile(rf"[+\uff0b][0-9{_SPACES}{_DASHES}()./]+")
_PHONE_FILLING = re.compile(r"[^+0-9]")
_ZERO = re.compile(rf"\([{_SPACES}]*0[{_SPACES}]*\)")
_TRUNK_ZERO = re.compile(rf"(\+[1-9][0-9{_SPACES}{_DASHES}./]*){_ZERO.pattern}(.*)")

# Old form, new form. Mexico dropped the 1 of mobiles in August 2019; Benin put 01 before every number in November 2024;
# Brazil put a 9 before every mobile number by 2016 (those in 7 of one carrier apart), which WhatsApp leaves out.
_RENUMBERED = (
    (re.compile(r"\+521([0-9]{10})"), r"+52\1"),
    (re.compile(r"\+229([0-9]{8})"), r"+22901\1"),
    (re.compile(r"\+55([1-9][0-9])([689][0-9]{7})"), r"+55\g<1>9\2"),
)


@cache
def _rules(name: str) -> tuple[dict[str, Mapping[str, Any]], dict[str, Mapping[str, Any]]]:
    """Provider rules by domain and by brand (a label that one provider uses under many public suffixes)."""
    rules = table(name)["rules"]
    return (
        {domain: rule for rule in rules for domain in rule["domains"]},
        {brand: rule for rule in rules for brand in rule.get("brands", ())},
    )


def _rule_of(domain: str, snapshots: Snapshots) -> Mapping[str, Any] | None:
    by_domain, by_brand = _rules(snapshots.email_rules)
    if (rule := by_domain.get(domain)) is not None:
        return rule
    brand, _, suffix = domain.partition(".")
    rule = by_brand.get(brand)
    if rule is None or domain in rule.get("not", ()) or not is_public_suffix(suffix, snapshots):
        return None
    return rule


def _mailbox(local: str, domain: str, snapshots: Snapshots) -> tuple[str, str]:
    mailbox, _, provider = domain.partition(".")
    rule = _rule_of(provider, snapshots)
    if rule is not None and rule.get("subdomains"):
        # anything@mailbox.provider is delivered to mailbox@provider.
        local, domain = mailbox, provider
    else:
        rule = _rule_of(domain, snapshots)
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
    """E.164 in ASCII with its plus, rules 5 to 8. Raises Refused (rules `phone.*`)."""
    if text[:4].lower() == "tel:":
        text = text[4:]
    if not _PHONE_FORM.fullmatch(text):
        raise Refused(
            PHONE, "phone.form", "write the number in international form, + country code number, no extension"
        )
    text = text.replace("\uff0b", "+")
    number = _without_trunk_zero(text) if _ZERO.search(text) else _PHONE_FILLING.sub("", text)
    if not 8 <= len(number) <= 16:
        raise Refused(PHONE, "phone.length", "an E.164 number has 7 to 15 digits")
    for old, new in _RENUMBERED:
        if parts := old.fullmatch(number):
            number = parts.expand(new)
    if _fictional(snapshots.reserved).fullmatch(number):
        if mode is Mode.LIVE:
            raise Refused(
                PHONE, "phone.test", "numbers kept for fiction are accepted only where the charter says test"
            )
        return number.encode("ascii")
    parsed = _parsed(number)
    if parsed is None or not _is_valid(parsed):
        raise Refused(PHONE, "phone.invalid", "no numbering plan assigns this number; check its digits")
    if _e164(parsed) != number:
        raise Refused(PHONE, "phone.trunk", "leave out the national trunk prefix after the country code")
    return number.encode("ascii")


def _without_trunk_zero(text: str) -> str:
    """Settle the `(0)` of rule 6. Raises Refused (`phone.form`, `phone.trunk`)."""
    parts = _TRUNK_ZERO.fullmatch(text)
    before, after = (_PHONE_FILLING.sub("", part) for part in parts.groups()) if parts else ("", "")
    kept, dropped = _parsed(f"{before}0{after}"), _parsed(before + after)
    either = kept or dropped
    code = either.country_code if either else None
    if not parts or before != f"+{code}" or _ZERO.search(parts[2]):
        raise Refused(PHONE, "phone.form", "a bracketed (0) may stand only between country code and number")
    if kept is not None and kept.italian_leading_zero and _is_valid(kept):
        return f"{before}0{after}"
    if _keeps_the_zero(before):
        raise Refused(
            PHONE,
            "phone.trunk",
            "this country dials a 0 as part of the number or not at all; write it without brackets",
        )
    return before + after


@cache
def _keeps_the_zero(code: str) -> bool:
    """Whether numbers of a country code (with its plus) begin with a zero, by the metadata's own examples."""
    import phonenumbers

    kinds = (phonenumbers.PhoneNumberType.FIXED_LINE, phonenumbers.PhoneNumberType.MOBILE)
    regions = phonenumbers.region_codes_for_country_code(int(code))
    examples = [phonenumbers.example_number_for_type(region, kind) for region in regions for kind in kinds]
    return any(example is not None and example.italian_leading_zero for example in examples)


def _parsed(number: str) -> PhoneNumber | None:
    import phonenumbers

    try:
        return phonenumbers.parse(number, None)
    except phonenumbers.NumberParseException:
        return None


def _is_valid(number: PhoneNumber) -> bool:
    import phonenumbers

    return phonenumbers.is_valid_number(number)


def _e164(number: PhoneNumber) -> str:
    import phonenumbers

    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
