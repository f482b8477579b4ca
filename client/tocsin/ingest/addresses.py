"""The client's address, out of what proxies write about it.

1. A port, brackets, quotes, a zone, spaces and what names the transport (gRPC's `ipv4:`, Java's `/`) are dropped; an
   IPv4 address mapped into IPv6 (RFC 4291 §2.5.5.2) is the IPv4 address. `Forwarded` (RFC 7239) is read by its `for`.
   `unknown` (RFC 7239 §6.2) and the like are no address.
2. Of a list, as X-Forwarded-For has it, each proxy adds what it saw at the right. With `trusted_hops` n the address is
   the n-th from the right, what the outermost of n trusted proxies saw; a shorter list did not come through all of them
   and gives none. Without it, it is the right-most global address.
3. The left-most is the client's word, who could write anybody's address there. It is not used unless a rule above
   arrives at it.
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

_FOR = re.compile(r"(?:^|;)\s*for\s*=\s*(\"[^\"]*\"|[^;,]*)", re.IGNORECASE)
_V4_PORT = re.compile(r"([0-9.]+):[0-9]+")
_LIST = re.compile(r"^\[(?=\s*[\"'])|(?<=[\"'])\s*\]$")
_BRACKETED = re.compile(r"\[([^\]]+)\](?::[0-9]+)?")
_TRANSPORT = re.compile(r"(?:ipv[46]:|tcp[46]?:(?://)?|/)(?=[0-9a-f\[.:])", re.IGNORECASE)
_NO_ADDRESS = frozenset(("unknown", "-", "none", "null", "undefined", "n/a"))
_LONGEST = 4_096


@lru_cache(maxsize=1 << 16)
def client_address(header: str, trusted_hops: int | None = None) -> str | None:
    """Return the client's address as text; what is no address is returned as it is, to be refused by its rule."""
    if len(header) > _LONGEST:
        return header
    if header[:1] == "[":  # a list as a log prints it
        header = _LIST.sub("", header)
    hops = [hop for part in header.split(",") if (hop := _hop(part))]
    if not hops:
        return None
    if trusted_hops is not None and ("," in header or trusted_hops > 1):
        return _address(hops[-trusted_hops]) if len(hops) >= trusted_hops else None
    if len(hops) == 1:
        return _address(hops[0])
    return next((hop for hop in reversed(hops) if _is_global(hop)), None)


def _address(hop: str) -> str | None:
    return None if hop.casefold() in _NO_ADDRESS else hop


def _hop(part: str) -> str:
    text = part.strip()
    if "=" in text and (match := _FOR.search(text)) is not None:
        text = match[1].strip()
    text = text.strip("\"' ")
    if (transport := _TRANSPORT.match(text)) is not None:
        text = text[transport.end() :]
    if (match := _BRACKETED.fullmatch(text)) is not None or (match := _V4_PORT.fullmatch(text)) is not None:
        text = match[1]
    text = text.partition("%")[0]
    if ":" not in text:
        return text
    address = _parsed(text)
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return text


def _is_global(text: str) -> bool:
    address = _parsed(text)
    return address is not None and address.is_global and not address.is_multicast


def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None
