"""Device identifiers as `vendor:identifier`.

1. The vendor namespace is lower-cased: letters, digits, dots and dashes, 2 to 63 long. It says who minted
   the identifier; without one two vendors' numbers would collide.
2. `imei`: 15 digits, Luhn-valid (3GPP TS 23.003 section 6.2.1), separators removed. Only here may a
   Luhn-valid run stand, and not where it begins like a 15-digit card (34, 37). Type codes from 00 are test
   devices.
3. `idfa`, `idfv`, `gaid`: UUIDs, lower case (RFC 9562 section 4); the all-zero one means that tracking is
   off.
4. Any other identifier is compared as its vendor writes it: 8 to 256 visible ASCII characters, no card
   number, not one character repeated. The namespaces `example` and `test` are test ranges.
"""

from __future__ import annotations

import re

from tocsin.indicators.cards import luhn_valid, refuse_card_number
from tocsin.indicators.refusal import Mode, Refused
from tocsin.indicators.snapshot_files import Snapshots

DEVICE = "device.id"

_VENDOR = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,61}[a-z0-9])")
_IMEI = re.compile(r"[0-9]{15}")
_IMEI_FILLING = re.compile(r"[ \-/]")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_PLAIN = re.compile(r"[!-~]{8,256}")
_UUID_VENDORS = frozenset({"idfa", "idfv", "gaid"})
_TEST_VENDORS = frozenset({"example", "test"})


def _refuse_test(mode: Mode) -> None:
    if mode is Mode.LIVE:
        raise Refused(DEVICE, "device.test", "test devices are accepted only where the charter says test")


def _imei(identifier: str, mode: Mode) -> str:
    imei = _IMEI_FILLING.sub("", identifier)
    if not _IMEI.fullmatch(imei):
        refuse_card_number(DEVICE, identifier)
        raise Refused(
            DEVICE, "imei.form", "an IMEI has 15 digits, the last a check digit; not the 16 of an SV"
        )
    if not luhn_valid(imei):
        raise Refused(DEVICE, "imei.checksum", "its check digit does not fit; compare it with the source")
    if imei.startswith(("34", "37")):
        refuse_card_number(DEVICE, imei)
    if imei.startswith("00"):
        _refuse_test(mode)
    return imei


def _uuid(identifier: str) -> str:
    uuid = identifier.lower()
    if not _UUID.fullmatch(uuid):
        refuse_card_number(DEVICE, identifier)
        raise Refused(DEVICE, "device.uuid", "this namespace's identifiers are UUIDs, 8-4-4-4-12 hex digits")
    if not uuid.strip("0-"):
        raise Refused(DEVICE, "device.void", "this identifier stands for no device")
    return uuid


def _plain(identifier: str) -> str:
    if not _PLAIN.fullmatch(identifier):
        refuse_card_number(DEVICE, identifier)
        raise Refused(DEVICE, "device.form", "an identifier is 8 to 256 visible ASCII characters")
    refuse_card_number(DEVICE, identifier)
    if len(set(identifier.strip("-:.{}"))) < 2:
        raise Refused(DEVICE, "device.void", "this identifier stands for no device")
    return identifier


def canonical_device(text: str, mode: Mode, snapshots: Snapshots) -> bytes:
    """`vendor:identifier` in ASCII. Raises Refused (rules `device.*`, `imei.*`, `card.number`)."""
    vendor, colon, identifier = text.partition(":")
    vendor = vendor.lower()
    if not colon or not _VENDOR.fullmatch(vendor) or vendor.isdigit():
        refuse_card_number(DEVICE, text)
        raise Refused(DEVICE, "device.namespace", "write vendor:identifier, the vendor in letters and digits")
    refuse_card_number(DEVICE, vendor)
    if vendor in _TEST_VENDORS:
        _refuse_test(mode)
    if vendor == "imei":
        identifier = _imei(identifier, mode)
    elif vendor in _UUID_VENDORS:
        identifier = _uuid(identifier)
    else:
        identifier = _plain(identifier)
    return f"{vendor}:{identifier}".encode("ascii")
