"""Network addresses and TLS fingerprints.

1. Addresses are packed in network order: `net.ipv4` 4 bytes, `net.ipv4-24` the first 3, `net.ipv6-64` the
   first 8.
2. Only unicast addresses that the IANA special-purpose registries (RFC 6890) leave globally reachable; the
   list is ours, since Python's `is_global` differs between patch releases. Whole special blocks go,
   exceptions within too (M-9.7).
3. Documentation and benchmarking blocks (RFC 5737, 3849, 9637, 2544) are test ranges.
4. An IPv4-mapped or otherwise embedded IPv4 address is refused, never unwrapped (M-9.7): say what was seen, as
   net.ipv4.
5. A network may be given by any of its addresses or as itself (`192.0.2.0/24`), without host bits.
6. `net.ja4` is taken as the edge computed it (FoxIO JA4, not its raw or other variants), letter for letter.
"""

from __future__ import annotations

import re
from functools import cache
from ipaddress import AddressValueError, IPv4Address, IPv6Address, ip_network

from tocsin.indicators.refusal import Mode, Refused
from tocsin.indicators.snapshot_files import Snapshots, table

IPV4 = "net.ipv4"
IPV4_24 = "net.ipv4-24"
IPV6_64 = "net.ipv6-64"
JA4 = "net.ja4"

_JA4 = re.compile(r"[tqd](?:1[0-3]|s[1-3]|d[1-3]|00)[di][0-9]{4}[0-9A-Za-z]{2}_[0-9a-f]{12}_[0-9a-f]{12}")
# A header that counts no ciphers carries the spec's all-zero hash; nothing tells two such clients apart.
_JA4_EMPTY = "000000000000"


@cache
def _blocks(name: str, family: str) -> tuple[tuple[int, int, bool], ...]:
    blocks = []
    for entry in table(name)[family]:
        network = ip_network(entry["block"])
        blocks.append((int(network.network_address), int(network.broadcast_address), entry["use"] == "test"))
    return tuple(blocks)


def _refuse_special(type: str, number: int, family: str, mode: Mode, snapshots: Snapshots) -> None:
    for first, last, is_test in _blocks(snapshots.special_purpose_ip, family):
        if first <= number <= last:
            if not is_test:
                raise Refused(type, "ip.special", "this range is not globally routable and identifies nobody")
            if mode is Mode.LIVE:
                raise Refused(
                    type, "ip.test", "documentation ranges are accepted only where the charter says test"
                )
            return


def _address4(type: str, text: str, mode: Mode, snapshots: Snapshots) -> bytes:
    try:
        address = IPv4Address(text) if text.isascii() else None
    except AddressValueError:
        address = None
    if address is None:
        raise Refused(type, "ip.form", "write an IPv4 address as four decimal numbers without leading zeros")
    _refuse_special(type, int(address), "ipv4", mode, snapshots)
    return address.packed


def canonical_ipv4(text: str, mode: Mode, snapshots: Snapshots) -> bytes:
    """4 bytes. Raises Refused (rules `ip.*`)."""
    return _address4(IPV4, text, mode, snapshots)


def canonical_ipv4_24(text: str, mode: Mode, snapshots: Snapshots) -> bytes:
    """The first 3 bytes of an address or of a /24. Raises Refused (rules `ip.*`)."""
    address, slash, length = text.partition("/")
    packed = _address4(IPV4_24, address, mode, snapshots)
    if slash and (length != "24" or packed[3]):
        raise Refused(IPV4_24, "ip.prefix", "give an address, or a network of length 24 without host bits")
    return packed[:3]


def canonical_ipv6_64(text: str, mode: Mode, snapshots: Snapshots) -> bytes:
    """The first 8 bytes of an address or of a /64. Raises Refused (rules `ip.*`)."""
    text, slash, length = text.partition("/")
    try:
        address = IPv6Address(text) if text.isascii() and "%" not in text else None
    except AddressValueError:
        address = None
    if address is None:
        raise Refused(IPV6_64, "ip.form", "write an IPv6 address without zone or port")
    packed = address.packed
    if address.ipv4_mapped is not None:
        raise Refused(IPV6_64, "ip.mapped", "this stands for an IPv4 address; give that, as net.ipv4")
    if slash and (length != "64" or any(packed[8:])):
        raise Refused(IPV6_64, "ip.prefix", "give an address, or a network of length 64 without host bits")
    if packed[0] >> 5 != 0b001:
        raise Refused(IPV6_64, "ip.special", "only global unicast addresses (2000::/3) identify anybody")
    _refuse_special(IPV6_64, int(address), "ipv6", mode, snapshots)
    return packed[:8]


def canonical_ja4(text: str, mode: Mode, snapshots: Snapshots) -> bytes:
    """36 ASCII bytes, rule 6. Raises Refused (rules `ja4.*`)."""
    if not _JA4.fullmatch(text):
        raise Refused(JA4, "ja4.form", "give the 36 characters of JA4, such as the edge logs them")
    if text[11:23] == _JA4_EMPTY and text[24:] == _JA4_EMPTY:
        raise Refused(JA4, "ja4.empty", "a hello without ciphers and extensions identifies nobody")
    return text.encode("ascii")
