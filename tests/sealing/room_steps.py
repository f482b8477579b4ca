"""Every step from a campaign key to a sealed room entry, from fixed seeds: what `vectors/rooms.json` publishes."""

from __future__ import annotations

import hashlib

from tests.sealing.sealing_steps import FEDERATION, WRITERS, header, seeded
from tocsin.sealing.box import SealInfo, seal, tags
from tocsin.sealing.label import AbuseKind, ContentKind, bucket
from tocsin.sealing.pepper import Pepper, period_secret
from tocsin.sealing.rooms import (
    PURPOSES,
    CampaignKey,
    RoomEntry,
    RoomStatus,
    encode_profile,
    encode_room_entry,
    room_id,
)

KEY = CampaignKey(hashlib.sha256(b"campaign").digest())
OTHER = CampaignKey(hashlib.sha256(b"another campaign").digest())
ACTIVE = [(hour * 7) % 31 for hour in range(168)]
CAMPAIGN = RoomEntry(
    kind=ContentKind.CAMPAIGN,
    abuse=AbuseKind.DISTILLATION,
    accounts_bucket=bucket(25_000),
    exchanges_bucket=bucket(28_800_000),
    first_week=2938,
    last_week=2944,
    status=RoomStatus.OPEN,
    confidence=80,
    embargo_day=20_600,
    profile=encode_profile(ACTIVE, 25_000),
    joining=(("client.tools", bucket(3)), ("payment.par", bucket(410)), ("prompt.template", bucket(12))),
    linked=tuple(sorted([OTHER])),
)
SIGHTING = RoomEntry(
    kind=ContentKind.SIGHTING,
    abuse=AbuseKind.DISTILLATION,
    accounts_bucket=bucket(6),
    exchanges_bucket=bucket(700),
    first_week=2943,
    last_week=2944,
    status=RoomStatus.ACTED_ON,
    confidence=95,
)
TODAY = 20_580
"""The day on which the entries are written, since 1970-01-01."""


def steps() -> dict[str, object]:
    """Return the content of `vectors/rooms.json`."""
    pepper = Pepper(hashlib.sha256(b"pepper").digest())
    info, secret = SealInfo(9, 1, 9), period_secret(pepper, KEY)
    vectors = []
    for entry in (CAMPAIGN, SIGHTING):
        purpose, content = PURPOSES[entry.kind], encode_room_entry(entry)
        body = seal(
            secret,
            purpose,
            info,
            federation=FEDERATION,
            writer=WRITERS[0],
            header=header(info),
            plaintext=content,
            random=seeded(f"nonce {purpose}"),
        )
        vectors.append(
            {
                "purpose": purpose.value,
                "content": content.hex(),
                "tags": tags(secret, purpose, info, b"".join(WRITERS)).hex(),
                "header": header(info).hex(),
                "nonce": body[16:40].hex(),
                "body": body.hex(),
            }
        )
    return {
        "about": "A room's two entries, from campaign key to body: Z, tags of three writers, content, body. The "
        "profile is of `active` accounts by hour of the week. Hex.",
        "federation": FEDERATION,
        "writers": [writer.hex() for writer in WRITERS],
        "pepper": bytes(pepper).hex(),
        "campaign_key": bytes(KEY).hex(),
        "room": room_id(KEY).hex(),
        "secret_Z": bytes(secret).hex(),
        "class": info.key_class,
        "epoch": info.epoch,
        "period": info.period,
        "active": ACTIVE,
        "profile": CAMPAIGN.profile.hex(),
        "vectors": vectors,
    }
