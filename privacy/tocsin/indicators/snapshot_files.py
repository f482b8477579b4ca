"""The versioned tables that canonical forms depend on.

1. A snapshot never changes once published: a correction is a new file with a new name.
2. A charter names the snapshots it was written for; members that hold others must not compare values (M-9.3).
3. Nothing is read before it is needed, and each file is parsed once in a process.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from publicsuffixlist import PublicSuffixList


@dataclass(frozen=True)
class Snapshots:
    """The names of the tables one evaluation of canonical forms uses, one for each purpose."""

    unicode: str
    public_suffix: str
    email_rules: str
    free_mail: str
    reserved: str
    special_purpose_ip: str
    common_tools: str
    confusables: str
    common_prompts: str

    @property
    def names(self) -> tuple[str, ...]:
        """All names, in the order in which a charter lists them."""
        return astuple(self)


CURRENT = Snapshots(
    unicode="unicode-14.0.0",
    public_suffix="public-suffix-2026-10-22",
    email_rules="email-rules-2",
    free_mail="free-mail-2",
    reserved="reserved-2",
    special_purpose_ip="special-purpose-ip-1",
    common_tools="common-tools-1",
    confusables="confusables-18.0.0",
    common_prompts="common-prompts-2",
)
"""What this release ships."""

SNAPSHOT_NAMES: tuple[str, ...] = CURRENT.names
"""The names that a charter of this release carries."""


class UnknownSnapshots(LookupError):
    """A charter names tables that this release does not ship; `missing` and `unasked` say which."""

    def __init__(self, missing: tuple[str, ...], unasked: tuple[str, ...]) -> None:
        super().__init__(missing, unasked)
        self.missing = missing
        self.unasked = unasked

    def __str__(self) -> str:
        return (
            f"the charter names snapshots that this release lacks ({', '.join(self.missing) or 'none'}) "
            f"and omits those it has ({', '.join(self.unasked) or 'none'}): "
            "install the release that the charter was written for"
        )


def named(names: Iterable[str]) -> Snapshots:
    """The snapshots that a charter names. Raises UnknownSnapshots unless this release ships exactly those."""
    asked = frozenset(names)
    shipped = frozenset(SNAPSHOT_NAMES)
    if asked != shipped:
        raise UnknownSnapshots(tuple(sorted(asked - shipped)), tuple(sorted(shipped - asked)))
    return CURRENT


@cache
def table(name: str) -> Any:
    """The parsed JSON of the snapshot `name`."""
    return json.loads((files("tocsin.indicators") / "snapshots" / f"{name}.json").read_bytes())


@cache
def name_set(name: str, section: str) -> frozenset[str]:
    """The strings of one section of the snapshot `name`."""
    return frozenset(table(name)[section])


@cache
def public_suffixes(name: str) -> PublicSuffixList:
    """The list of the snapshot `name`, its private section included; unknown suffixes are none."""
    from publicsuffixlist import PublicSuffixList

    packed = (files("tocsin.indicators") / "snapshots" / f"{name}.dat.gz").read_bytes()
    return PublicSuffixList(gzip.decompress(packed).decode("utf-8"), accept_unknown=False)


def is_public_suffix(domain: str, snapshots: Snapshots) -> bool:
    """Whether registries or hosting services register names directly below `domain` (A-labels)."""
    return public_suffixes(snapshots.public_suffix).is_public(domain)
