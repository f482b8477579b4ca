"""Dealing class keys: one process makes the shares of every class and seals each to the member that holds the seat.

The dealer could know the key: it is forgotten here, but nothing proves that to the others. It serves demonstrations and
federations that trust whoever runs it, until the committee generates its keys together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from tocsin.charter.document import Charter
from tocsin.client.system import random
from tocsin.oprf.group import random_scalar
from tocsin.oprf.shares import split
from tocsin.sealing import hpke

WARNING = (
    "The process that deals these shares could know every class key: whoever ran it could search the federation's values "
    "offline. Distributed key generation among the committee is to follow; until then deal on a machine that all members "
    "watch, or only for a demonstration."
)


def deal(charter: Charter) -> tuple[Charter, Mapping[bytes, Mapping[str, bytes]]]:
    """The charter with fresh commitments for every class, and each member's sealed share files by name.

    A share file `<class>-<epoch>-<seat>.share` is HPKE to the member's `node_hpke` key of a 32-byte scalar.
    """
    classes = []
    files: dict[bytes, dict[str, bytes]] = {member.id: {} for member in charter.members}
    for key in charter.classes:
        dealt = split(random_scalar(random), len(key.committee), key.threshold, random)
        classes.append(replace(key, commitments=dealt.commitments))
        for seat, (holder, share) in enumerate(zip(key.committee, dealt.shares, strict=True), 1):
            info = hpke.share_info(charter.federation, key.key_class, key.epoch, seat, holder)
            name = f"{key.key_class}-{key.epoch}-{seat}.share"
            files[holder][name] = hpke.seal_to(charter.member(holder).node_hpke, info, share)
    return replace(charter, classes=tuple(classes)), files
