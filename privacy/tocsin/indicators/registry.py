"""The registry of indicator types, and the one door from a raw value to its canonical bytes.

1. A type has one key class, one retention (its class's), one canonical form with a version. Nothing else is
   accepted: document numbers, card numbers and free text have no type.
2. `observable` either returns trusted canonical bytes or raises Refused; a refusal carries no value, no
   cause and no context.
3. Documentation and test ranges are refused unless the charter says `test` (M-9.6).
4. A band is never given by itself (P-6.6, M-7.13): bands come with the prompt template that they belong to.
5. A type may stand alone (its reports may carry a campaign key) only where its smallest space has 2^40
   values or more: one guessed address must not open a room.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from types import MappingProxyType

from tocsin.indicators import client_tools, contact, device, network, organisation, payment, wallet
from tocsin.indicators.ptf2 import bands, template
from tocsin.indicators.refusal import Mode, Refused, UnknownType
from tocsin.indicators.snapshot_files import CURRENT, SNAPSHOT_NAMES, Snapshots

__all__ = [
    "CURRENT",
    "SNAPSHOT_NAMES",
    "TYPES",
    "IndicatorType",
    "KeyClass",
    "Mode",
    "Observable",
    "Refused",
    "Snapshots",
    "UnknownType",
    "observable",
]


class KeyClass(IntEnum):
    """Which committee key a type is evaluated under; the number travels in headers and never changes."""

    PAYMENT = 1
    PAYMENT_WEAK = 2
    CONTACT = 3
    PHONE = 4
    IPV4 = 5
    IPV4_24 = 6
    IPV6 = 7
    DEVICE = 8
    CONTENT = 9
    CONTENT_BAND = 10

    @property
    def label(self) -> str:
        """The name in charters, commands and documents, such as `ipv4-24`."""
        return self.name.lower().replace("_", "-")

    @property
    def retention_days(self) -> int:
        """Days an entry of this class lives before its expiry is rounded up to a whole week; 60 with that."""
        return _RETENTION_DAYS[self]


# Rounding up adds less than a week, so 49 is the longest whole number of weeks that stays within 60 days.
_RETENTION_DAYS: Mapping[KeyClass, int] = {
    KeyClass.PAYMENT: 49,
    KeyClass.PAYMENT_WEAK: 28,
    KeyClass.CONTACT: 49,
    KeyClass.PHONE: 28,
    KeyClass.IPV4: 7,
    KeyClass.IPV4_24: 7,
    KeyClass.IPV6: 7,
    KeyClass.DEVICE: 28,
    KeyClass.CONTENT: 49,
    KeyClass.CONTENT_BAND: 49,
}

_ALONE_BITS = 40


@dataclass(frozen=True)
class IndicatorType:
    """What the registry says of one type."""

    name: str
    key_class: KeyClass
    min_strength: int
    """Bits of the smallest space that a value may be known to come from, rounded down."""
    version: int = 1
    """Version of the canonical form; other bytes mean another version."""

    @property
    def retention_days(self) -> int:
        """Days a report lives, before rounding up to a whole week; the same for all types of a class."""
        return self.key_class.retention_days

    @property
    def alone(self) -> bool:
        """Whether it may stand alone (rule 4)."""
        return self.min_strength >= _ALONE_BITS


def _registered() -> Mapping[str, IndicatorType]:
    types = (
        IndicatorType("payment.par", KeyClass.PAYMENT, 83),  # 25 digits behind a known controller
        IndicatorType("payment.iban", KeyClass.PAYMENT, 19),  # six free digits within one Norwegian bank
        IndicatorType("payment.wallet", KeyClass.PAYMENT, 160),  # the shortest hash of a key
        IndicatorType("payment.composite", KeyClass.PAYMENT_WEAK, 19),  # last four and 60 months of one BIN
        IndicatorType("contact.email", KeyClass.CONTACT, 20),  # common names at one free-mail provider
        IndicatorType("contact.phone", KeyClass.PHONE, 20),  # one operator's block of a million
        IndicatorType("net.ipv4", KeyClass.IPV4, 31),  # 3.7 billion routable addresses
        IndicatorType("net.ipv4-24", KeyClass.IPV4_24, 23),  # 14 million routable networks
        IndicatorType("net.ipv6-64", KeyClass.IPV6, 32),  # one provider's /32
        IndicatorType("net.ja4", KeyClass.DEVICE, 10),  # a thousand TLS stacks cover nearly all traffic
        IndicatorType("device.id", KeyClass.DEVICE, 19),  # the six serial digits of one IMEI type code
        IndicatorType("org.domain", KeyClass.CONTACT, 20),  # a small country's zone is public
        IndicatorType(
            "client.tools", KeyClass.CONTENT, 40, version=2
        ),  # what is common is refused beforehand
        IndicatorType(template.SYSTEM, KeyClass.CONTENT, template.MIN_BITS),
        IndicatorType(template.TEMPLATE, KeyClass.CONTENT, template.MIN_BITS),
        IndicatorType(bands.TEMPLATE_BAND, KeyClass.CONTENT_BAND, 30),  # two shingles
        IndicatorType(bands.SHORT_BAND, KeyClass.CONTENT_BAND, 30),  # two shingles
        IndicatorType(
            bands.SYSTEM_BAND, KeyClass.CONTENT_BAND, 35
        ),  # three shingles, five words if they overlap
    )
    return MappingProxyType({type.name: type for type in types})


TYPES: Mapping[str, IndicatorType] = _registered()
"""Every registered type by name."""

_FORMS: Mapping[str, Callable[[str, Mode, Snapshots], bytes]] = {
    "payment.par": payment.canonical_par,
    "payment.iban": payment.canonical_iban,
    "payment.wallet": wallet.canonical_wallet,
    "payment.composite": payment.canonical_composite,
    "contact.email": contact.canonical_email,
    "contact.phone": contact.canonical_phone,
    "net.ipv4": network.canonical_ipv4,
    "net.ipv4-24": network.canonical_ipv4_24,
    "net.ipv6-64": network.canonical_ipv6_64,
    "net.ja4": network.canonical_ja4,
    "device.id": device.canonical_device,
    "org.domain": organisation.canonical_organisation,
    "client.tools": client_tools.canonical_tools,
    template.SYSTEM: template.canonical_system,
    template.TEMPLATE: template.canonical_template,
    **{type: template.refuse_band(type) for type in bands.BANDINGS},
}

_BLANK = " \t\r\n\u00a0\u202f"
# Two joiners are letters' company in some scripts' names (RFC 5892, appendix A): domain.py judges them.
_JOINERS = "\u200c\u200d"
_JOINED_TYPES = frozenset({contact.EMAIL, organisation.DOMAIN})
_INVISIBLE = re.compile("[\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff]")
_MAX_TEXT = 1_024
_LONGER_TEXT: Mapping[str, int] = {
    client_tools.TOOLS: client_tools.MAX_TEXT,
    template.SYSTEM: template.MAX_TEXT,
    template.TEMPLATE: template.MAX_TEXT,
}


@dataclass(frozen=True)
class Observable:
    """A value that a member has seen, as `(type, canonical bytes)`; it never leaves the client.

    Made by `observable`. Its repr shows the type only.
    """

    type: str
    canonical: bytes = field(repr=False)
    bands: tuple[Observable, ...] = field(default=(), repr=False, compare=False)
    """Of a skeleton that has bands: these, all of one type, the first band first (PTF2.md §6)."""

    @property
    def key_class(self) -> KeyClass:
        """The class whose committee key evaluates it."""
        return TYPES[self.type].key_class


def _canonical(type: str, value: str, mode: Mode, snapshots: Snapshots) -> bytes | Refused:
    # M-9.1: what has no canonical form is refused.
    form = _FORMS.get(type)
    if form is None:
        return UnknownType(tuple(TYPES))
    if not isinstance(value, str):
        return Refused(type, "value.text", "give the value as text")
    text = value.strip(_BLANK)
    if not text:
        return Refused(type, "value.empty", "the value is empty")
    if len(text) > _LONGER_TEXT.get(type, _MAX_TEXT):
        return Refused(type, "value.length", "the value is longer than any of its type")
    if type not in _LONGER_TEXT:
        for invisible in _INVISIBLE.findall(text):
            if type not in _JOINED_TYPES or invisible not in _JOINERS:
                name = f"U+{ord(invisible):04X}"
                return Refused(
                    type, "value.invisible", f"it holds the invisible character {name}; remove that"
                )
    try:
        return form(text, mode, snapshots)
    except Refused as refusal:
        return refusal


def observable(
    type: str, value: str, *, mode: Mode = Mode.LIVE, snapshots: Snapshots = CURRENT
) -> Observable:
    """The observable that `value` is under `type`.

    `value` is text as systems log it (decoding bytes is up to the caller); each family's module says what
    forms it takes. Raises Refused, or its subclass UnknownType, naming the rule and never the value.
    """
    canonical = _canonical(type, value, mode, snapshots)
    if isinstance(canonical, Refused):
        # Raised here, outside any handler, and without the frames below: those hold the value.
        canonical.__context__ = canonical.__cause__ = None
        raise canonical.with_traceback(None)
    if type not in (template.TEMPLATE, template.SYSTEM):
        return Observable(type, canonical)
    band_type, values = template.band_values(type, value.strip(_BLANK))
    return Observable(type, canonical, tuple(Observable(band_type, band) for band in values))
