"""Sealing what a member says of a value, as an entry of its log.

One report is one entry: current period, newest live epoch, `not_after` by its class's retention.
"""

from __future__ import annotations

from tocsin.charter.document import ClassKey
from tocsin.client.charters import ActiveCharter
from tocsin.oprf.group import Random
from tocsin.sealing.box import Purpose, SealInfo, seal
from tocsin.sealing.label import Dispute, Report, encode_label
from tocsin.sealing.pepper import period_secret
from tocsin.tlog.entry import sealed_header, weeks_after
from tocsin.wire.values import WireEntry

_DAY = 86_400


def seal_label(
    active: ActiveCharter,
    class_key: ClassKey,
    output: bytes,
    label: Report | Dispute,
    now: int,
    random: Random,
) -> WireEntry:
    """Seal a label under a value's F as an entry of the current period."""
    purpose = Purpose.REPORT if isinstance(label, Report) else Purpose.DISPUTE
    return seal_content(active, class_key, output, purpose, encode_label(label), now, random)


def seal_content(
    active: ActiveCharter,
    class_key: ClassKey,
    key: bytes,
    purpose: Purpose,
    content: bytes,
    now: int,
    random: Random,
) -> WireEntry:
    """Seal the content of a box under the key of Z as an entry of the current period."""
    period = active.charter.period_at(now)
    header = sealed_header(
        class_key.key_class, class_key.epoch, period, weeks_after(now, class_key.retention_days * _DAY)
    ).encode()
    body = seal(
        period_secret(active.pepper(period), key),
        purpose,
        SealInfo(class_key.key_class, class_key.epoch, period),
        federation=active.charter.federation,
        writer=active.member.id,
        header=header,
        plaintext=content,
        random=random,
    )
    return WireEntry(header, body)
