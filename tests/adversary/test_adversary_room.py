"""Who is outside a room learns only that sealed entries exist; who is in it learns buckets, not counts.

1. The outsider is a member with the pepper and every log. It is given an entry of Aster and one of Borealis, and
   guesses whether both are of one room or one of them is a report: by equal tags, or any eight bytes in common. It also
   tries to open a room's entries under the pepper and under a campaign key of its own.
2. The member of the room opens everything that is said there, and guesses which of two counts the writer had.

The weakened variants are tags that do not depend on the writer, and contents with exact counts.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.adversary.game import TRIALS, Coins, learn, score
from tests.sealing.room_steps import SIGHTING
from tests.sealing.sealing_steps import FEDERATION, REPORT, WRITERS, header
from tocsin.client.system import random_bytes
from tocsin.sealing.box import Purpose, SealInfo, WrongTag, open_body, seal
from tocsin.sealing.label import bucket, bucket_range, encode_label
from tocsin.sealing.pepper import Pepper, period_secret
from tocsin.sealing.rooms import CampaignKey, encode_profile, encode_room_entry

ASTER, BOREALIS = WRITERS[0], WRITERS[1]
INFO = SealInfo(9, 1, 9)
PEPPER = Pepper(bytes(range(32)))
LARGER = replace(SIGHTING, accounts_bucket=bucket(40))


def sealed(key: bytes, purpose: Purpose, content: bytes, writer: bytes) -> bytes:
    return seal(
        period_secret(PEPPER, key), purpose, INFO, federation=FEDERATION, writer=writer, header=header(INFO),
        plaintext=content, random=random_bytes,
    )  # fmt: skip


def in_common(first: bytes, second: bytes) -> int:
    """1 where two bodies have a tag or any eight bytes in common, else 0."""
    pieces = {first[at : at + 8] for at in range(len(first) - 7)}
    return int(any(second[at : at + 8] in pieces for at in range(len(second) - 7)))


@pytest.mark.parametrize("tags_depend_on_the_writer", [True, False])
def test_two_entries_of_one_room_cannot_be_told(tags_depend_on_the_writer: bool) -> None:
    coins = Coins("room").flips(TRIALS)
    guesses = []
    for coin in coins:
        key = random_bytes(32)
        first = sealed(key, Purpose.SIGHTING, encode_room_entry(SIGHTING), ASTER)
        if coin:
            second = sealed(key, Purpose.SIGHTING, encode_room_entry(LARGER), BOREALIS)
        else:
            label = encode_label(replace(REPORT, campaign_key=CampaignKey(key)))
            second = sealed(random_bytes(64), Purpose.REPORT, label, BOREALIS)
        if coin and not tags_depend_on_the_writer:
            second = first[:16] + second[16:]
        assert len(first) == len(second)
        guesses.append(in_common(first, second))
    game = score(guesses, coins)
    assert game.guessed if tags_depend_on_the_writer else game.won


def test_nobody_without_the_key_opens_a_room() -> None:
    body = sealed(random_bytes(32), Purpose.SIGHTING, encode_room_entry(SIGHTING), ASTER)
    for key in (PEPPER, bytes(32), random_bytes(32), ASTER):
        for purpose in Purpose:
            with pytest.raises(WrongTag):
                open_body(
                    period_secret(PEPPER, key), purpose, INFO, federation=FEDERATION, writer=ASTER,
                    header=header(INFO), body=body,
                )  # fmt: skip


@pytest.mark.parametrize("counts_are_buckets", [True, False])
def test_a_member_of_the_room_learns_buckets_only(counts_are_buckets: bool) -> None:
    low, high = bucket_range(bucket(40))
    # The same campaign at its least and at its largest, active in proportion.
    counts = (low, high)

    def seen(coin: int) -> list[float]:
        count = counts[coin]
        profile = encode_profile([count if hour % 24 < 8 else 0 for hour in range(168)], count)
        content = encode_room_entry(replace(SIGHTING, accounts_bucket=bucket(count), profile=profile))
        return [
            float(byte) for byte in (content if counts_are_buckets else content + count.to_bytes(4, "big"))
        ]

    stump = learn([(seen(coin), coin) for coin in Coins("training").flips(TRIALS)])
    coins = Coins("buckets").flips(TRIALS)
    game = score([stump.guess(seen(coin)) for coin in coins], coins)
    assert game.guessed if counts_are_buckets else game.won
