"""Payment instruments by references that are not card numbers.

1. `payment.par`: EMVCo payment account reference, exactly 29 characters A-Z and 0-9, the first four naming
   the BIN controller. It is compared as issued, so lower case is refused, and so is one whose last 25 are one
   character: a system's filling that joins strangers.
2. `payment.iban`: a leading `IBAN` (`IBAN:`, `IBAN No.`, `(IBAN)` …), spaces of any width and dashes removed, upper
   case, check digits right (ISO 7064 mod 97-10) and laid out as its country registered (ISO 13616). The registry's
   published examples are test values; an account of one digit repeated is a filling.
3. `payment.composite`: `BIN8|last4|YYMM`, three fields of ASCII digits; kept with the bars, so that no
   canonical form looks like a card number. The schemes' published test cards are test values.
"""

from __future__ import annotations

import re

from tocsin.indicators.cards import refuse_card_number
from tocsin.indicators.refusal import Mode, Refused
from tocsin.indicators.snapshot_files import Snapshots, name_set

PAR = "payment.par"
IBAN = "payment.iban"
COMPOSITE = "payment.composite"

_PAR = re.compile(r"[A-Z0-9]{29}")
_IBAN = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}")
_IBAN_PREFIX = re.compile(
    r"[(\[]?IBAN[)\]]?(?:[ \-]?(?:nr|no|num|number|nummer|code)\.?)?"
    r"[ \t\u00a0\u2000-\u200a\u202f\u3000]*[:：=.#]?[ \t\u00a0\u2000-\u200a\u202f\u3000]*(?=[A-Z]{2}[0-9]{2})",
    re.IGNORECASE,
)
_IBAN_FILLING = re.compile(r"[ \t\-\u00a0\u2000-\u200a\u2010-\u2013\u202f\u3000]")
_IBAN_BEGIN = re.compile(r"[A-Z]{2}[0-9]{2}")
_COMPOSITE = re.compile(r"([1-9][0-9]{7})\|([0-9]{4})\|([0-9]{2})(0[1-9]|1[0-2])")


def canonical_par(text: str, mode: Mode, snapshots: Snapshots) -> bytes:
    """29 ASCII bytes, rule 1. Raises Refused (rules `par.form`, `card.number`)."""
    if not _PAR.fullmatch(text):
        refuse_card_number(PAR, text)
        raise Refused(PAR, "par.form", "a PAR is exactly 29 characters, upper-case letters and digits")
    if len(set(text[4:])) == 1:
        raise Refused(PAR, "par.void", "one character repeated stands for no account; leave it out")
    return text.encode("ascii")


def canonical_iban(text: str, mode: Mode, snapshots: Snapshots) -> bytes:
    """15 to 34 ASCII bytes without spaces, rule 2. Raises Refused (rules `iban.*`, `card.number`)."""
    prefix = _IBAN_PREFIX.match(text)
    compact = _IBAN_FILLING.sub("", text[prefix.end() :] if prefix else text)
    iban = compact.upper()
    # Upper-casing turns some other letters into ASCII ones.
    if not compact.isascii() or not _IBAN.fullmatch(iban):
        if not _IBAN_BEGIN.match(iban):
            refuse_card_number(IBAN, text)
        raise Refused(IBAN, "iban.form", "an IBAN is a country code, two check digits and the account")
    if int("".join(str(int(c, 36)) for c in iban[4:] + iban[:4])) % 97 != 1:
        raise Refused(IBAN, "iban.checksum", "its check digits do not fit; compare it with the source")

    import schwifty
    from schwifty.exceptions import SchwiftyException

    try:
        schwifty.IBAN(iban)
        registered = True
    except SchwiftyException:
        registered = False
    if not registered:
        raise Refused(IBAN, "iban.structure", "its country registered no account numbers of this form")
    if len(set(iban[4:])) == 1:
        raise Refused(IBAN, "iban.void", "one character repeated stands for no account; leave it out")
    if mode is Mode.LIVE and iban in name_set(snapshots.reserved, "ibans"):
        raise Refused(
            IBAN, "iban.test", "a published example account is accepted only where the charter says test"
        )
    return iban.encode("ascii")


def canonical_composite(text: str, mode: Mode, snapshots: Snapshots) -> bytes:
    """18 ASCII bytes `BIN8|last4|YYMM`, rule 3. Raises Refused (rules `composite.*`, `card.number`)."""
    fields = _COMPOSITE.fullmatch(text)
    if fields is None:
        for field in text.split("|"):
            refuse_card_number(COMPOSITE, field)
        raise Refused(COMPOSITE, "composite.form", "write BIN8|last4|YYMM, digits only, month 01 to 12")
    card = f"{fields[1]}|{fields[2]}"
    if mode is Mode.LIVE and card in name_set(snapshots.reserved, "cards"):
        raise Refused(
            COMPOSITE, "composite.test", "a published test card is accepted only where the charter says test"
        )
    return text.encode("ascii")
