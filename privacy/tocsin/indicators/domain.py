"""Domain names as A-labels.

1. Folded (text.fold), the ideographic full stop read as a dot, one trailing dot dropped (RFC 5895 section
   2).
2. ASCII labels are letters, digits and inner hyphens, 1 to 63 long; the name at most 253 (RFC 1035, RFC
   1123).
3. Other labels become A-labels under IDNA 2008 (RFC 5891); an A-label must decode to exactly such a label.
4. Special-use names (RFC 6761 and later) are refused; those for documentation and tests (RFC 2606) only in
   live mode.
"""

from __future__ import annotations

import re

from tocsin.indicators.refusal import Mode, Refused
from tocsin.indicators.snapshot_files import Snapshots, name_set
from tocsin.indicators.text import fold, is_assigned

_LDH = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


def _a_label(type: str, label: str, snapshots: Snapshots) -> str:
    if label.isascii():
        if not _LDH.fullmatch(label):
            raise Refused(type, "domain.label", "each label is 1 to 63 letters, digits or inner hyphens")
        if label[2:4] != "--":
            return label
    import idna

    try:
        unicode_label = idna.ulabel(label)
        encoded = idna.alabel(unicode_label).decode("ascii")
    except (UnicodeError, IndexError):
        encoded = unicode_label = ""
    stable = all(c.isascii() or is_assigned(c, snapshots) for c in unicode_label)
    if not encoded or not stable or (label.isascii() and encoded != label):
        raise Refused(
            type, "domain.idna", "a label is not valid under IDNA 2008; write it as the registry shows"
        )
    return encoded


def is_under(domain: str, names: frozenset[str]) -> bool:
    """Whether `domain` (A-labels, lower-case) is one of `names` or below one."""
    labels = domain.split(".")
    return any(".".join(labels[start:]) in names for start in range(len(labels)))


def canonical_domain(type: str, text: str, mode: Mode, snapshots: Snapshots) -> str:
    """`text` as lower-case A-labels joined by dots, at least two. Raises Refused (rules `domain.*`)."""
    folded = fold(type, text, snapshots).replace("。", ".").removesuffix(".")
    # Every label is at least a letter and a dot, so a longer text cannot become a valid name.
    if len(folded) > 253:
        raise Refused(type, "domain.length", "a domain name has at most 253 characters")
    labels = folded.split(".")
    if len(labels) < 2:
        raise Refused(type, "domain.dot", "give a full domain name, with its top-level domain")
    name = ".".join(_a_label(type, label, snapshots) for label in labels)
    if len(name) > 253:
        raise Refused(type, "domain.length", "a domain name has at most 253 characters")
    if labels[-1].isdigit():
        raise Refused(type, "domain.address", "this is a network address; give a domain name")
    if is_under(name, name_set(snapshots.reserved, "special_use_domains")):
        raise Refused(type, "domain.special-use", "this name is reserved and reaches nobody on the Internet")
    if mode is Mode.LIVE and is_test_domain(name, snapshots):
        raise Refused(
            type, "domain.test", "documentation and test names are accepted only where the charter says test"
        )
    return name


def is_test_domain(domain: str, snapshots: Snapshots) -> bool:
    """Whether `domain` is reserved for documentation or tests (RFC 2606, RFC 6761)."""
    return is_under(domain, name_set(snapshots.reserved, "test_domains"))
