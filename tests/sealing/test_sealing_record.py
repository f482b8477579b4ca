"""Records and the content of bands' boxes: strict, masked, and opened by τ right shares of one ref alone."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sealing.sealing_steps import seeded
from tocsin.oprf import group
from tocsin.oprf.group import GROUP_ORDER, Scalar, scalar_of
from tocsin.oprf.shares import BadQuorum, combine_shares
from tocsin.sealing import record as module
from tocsin.sealing.box import CONTENT_BYTES
from tocsin.sealing.pepper import expand
from tocsin.sealing.record import (
    MAX_BANDS,
    MAX_SLOTS,
    BadBand,
    BadRecord,
    BandSlot,
    Record,
    RecordKey,
    Tries,
    combine,
    encode_band,
    make_record,
    parse_band,
    ref_of,
)

TYPE = "prompt.template-band"
START = 3 + len(TYPE)
SLOTS = st.builds(
    BandSlot,
    st.binary(min_size=16, max_size=16),
    st.integers(1, MAX_BANDS),
    st.integers(1, 2**200).map(scalar_of),
)
BOXES = st.lists(SLOTS, min_size=1, max_size=MAX_SLOTS, unique_by=lambda slot: (slot.ref, slot.x))


def made(bands: int = 10, threshold: int = 3, name: str = "record") -> Record:
    return make_record(bands, threshold, seeded(name))


def slots(record: Record, *places: int) -> list[BandSlot]:
    return [record.slot(x) for x in places]


@given(BOXES)
def test_a_box_reads_as_it_was_written(box: list[BandSlot]) -> None:
    encoded = encode_band(TYPE, box)
    assert parse_band(encoded, TYPE, MAX_BANDS) == tuple(box)
    assert len(encoded) == START + 1 + 49 * len(box)


def test_the_longest_box_fits() -> None:
    box = [BandSlot(bytes([number] * 16), 128, scalar_of(7)) for number in range(MAX_SLOTS)]
    assert len(encode_band("a" * 64, box)) <= CONTENT_BYTES


@given(BOXES, st.data())
def test_every_cut_and_every_added_byte_is_refused(box: list[BandSlot], data: st.DataObject) -> None:
    encoded = encode_band(TYPE, box)
    with pytest.raises(BadBand):
        parse_band(encoded[: data.draw(st.integers(0, len(encoded) - 1))], TYPE, MAX_BANDS)
    with pytest.raises(BadBand):
        parse_band(encoded + data.draw(st.binary(min_size=1, max_size=60)), TYPE, MAX_BANDS)


@given(st.binary(max_size=600) | BOXES.map(lambda box: encode_band(TYPE, box)), st.data())
def test_hostile_bytes_give_bad_band_or_one_canonical_box(raw: bytes, data: st.DataObject) -> None:
    changed = bytearray(raw)
    if changed:
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    try:
        box = parse_band(bytes(changed), TYPE, MAX_BANDS)
    except BadBand:
        return
    assert encode_band(TYPE, box) == bytes(changed)


def _at(offset: int, piece: bytes) -> Callable[[bytes], bytes]:
    return lambda box: box[:offset] + piece + box[offset + len(piece) :]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_at(0, b"\2"), "version 1, kind 6 and type"),
        (_at(1, b"\1"), "version 1, kind 6 and type"),
        (_at(1, b"\5"), "version 1, kind 6 and type"),
        (_at(3, b"q"), "version 1, kind 6 and type"),
        (_at(START, b"\0"), "bytes follow the end"),
        (_at(START, b"\3"), "ref of a band's box: 16 bytes expected"),
        (lambda box: _at(START, b"\0")(box)[: START + 1], "1 to 8 slots"),
        (lambda box: _at(START, b"\x09")(box)[: START + 1] + 9 * box[START + 1 : START + 50], "at most 8"),
        (lambda box: box[: START + 1] + 2 * box[START + 1 : START + 50], "twice"),
        (_at(START + 17, b"\0"), "1 to 10"),
        (_at(START + 17, b"\x0b"), "1 to 10"),
        (_at(START + 18, bytes(32)), "scalar"),
        (_at(START + 18, GROUP_ORDER.to_bytes(32, "little")), "scalar"),
        (_at(START + 18, b"\xff" * 32), "scalar"),
    ],
)
def test_each_rule_is_checked(change: Callable[[bytes], bytes], message: str) -> None:
    box = encode_band(TYPE, [made().slot(1), made(name="other").slot(2)])
    with pytest.raises(BadBand, match=message):
        parse_band(change(box), TYPE, 10)


def test_what_is_written_is_checked_too() -> None:
    slot = made().slot(1)
    for box in ([], [slot, slot], [replace(slot, ref=bytes([n] * 16)) for n in range(9)]):
        with pytest.raises(BadBand):
            encode_band(TYPE, box)
    with pytest.raises(BadBand):
        encode_band("a" * 65, [slot])
    for wrong in ({"ref": bytes(15)}, {"x": 0}, {"x": MAX_BANDS + 1}):
        changed: dict[str, Any] = wrong
        with pytest.raises(BadBand):
            replace(slot, **changed)


@pytest.mark.parametrize(("bands", "threshold"), [(10, 3), (5, 1), (4, 4), (128, 2)])
def test_any_threshold_of_bands_gives_the_key_and_fewer_do_not(bands: int, threshold: int) -> None:
    record = made(bands, threshold)
    assert record.ref == ref_of(record.key) == expand(record.key, b"tocsin/1 ref")[:16]
    assert len(record.shares) == bands
    for places in itertools.islice(itertools.combinations(range(bands, 0, -1), threshold), 20):
        assert combine(slots(record, *places), threshold) == record.key
        with pytest.raises(BadRecord):
            combine(slots(record, *places)[1:], threshold)
    assert combine(slots(record, *range(1, bands + 1)), threshold) == record.key


def test_key_ref_and_shares_are_fresh_and_asked_of_the_source() -> None:
    sizes: list[int] = []
    source = seeded("sizes")

    def noting(size: int) -> bytes:
        sizes.append(size)
        return source(size)

    one, two = make_record(10, 3, noting), make_record(10, 3, noting)
    assert sizes == [64] * 6
    assert one.key != two.key
    assert one.ref != two.ref
    assert not set(one.shares) & set(two.shares)
    for bands, threshold in ((3, 4), (3, 0), (256, 2)):
        with pytest.raises(BadQuorum):
            make_record(bands, threshold, source)


def test_a_share_of_zero_is_dealt_again(monkeypatch: pytest.MonkeyPatch) -> None:
    dealt = iter([[Scalar(bytes(32)), scalar_of(5)], [scalar_of(5), scalar_of(6)]])

    class Dealing:
        def __init__(self, *_: object) -> None:
            self.shares = tuple(next(dealt))

    monkeypatch.setattr(module, "split", Dealing)
    assert make_record(2, 2, seeded("zero")).shares == (scalar_of(5), scalar_of(6))


@pytest.mark.parametrize("wrong", range(1, 8))
def test_a_wrong_share_among_enough_right_ones_hides_nothing(wrong: int) -> None:
    record, other = made(), made(name="other")
    box = [
        replace(record.slot(x), share=other.shares[x - 1]) if x == wrong else record.slot(x)
        for x in range(1, 8)
    ]
    assert combine(box, 3) == record.key
    both = [*slots(record, 1, 2, 3), replace(record.slot(2), share=other.shares[1])]
    assert combine(both, 3) == record.key


def test_shares_of_wrong_or_mixed_refs_combine_to_nothing() -> None:
    record, other = made(), made(name="other")
    with pytest.raises(BadRecord, match="one ref"):
        combine([*slots(record, 1, 2), other.slot(3)], 3)
    with pytest.raises(BadRecord, match="one ref"):
        combine([], 3)
    renamed = [replace(slot, ref=other.ref) for slot in slots(record, 1, 2, 3, 4)]
    with pytest.raises(BadRecord, match="no key"):
        combine(renamed, 3)
    with pytest.raises(BadRecord, match="opened by 3"):
        combine([record.slot(1), record.slot(2), replace(record.slot(2), share=scalar_of(9))], 3)


def test_tries_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[tuple[int, ...]] = []

    def noting(shares: dict[int, Scalar]) -> Scalar:
        tried.append(tuple(shares))
        return combine_shares(shares)

    monkeypatch.setattr(module, "combine_shares", noting)
    record = made(128, 10)
    with pytest.raises(BadRecord):
        combine([replace(record.slot(x), ref=bytes(16)) for x in range(1, 129)], 10)
    assert len(tried) == len(set(tried)) == module.MAX_TRIES


def test_refs_that_share_a_bound_use_it_up_together_and_right_shares_use_none() -> None:
    record, other = made(), made(name="other")
    one_wrong = [replace(record.slot(1), share=other.shares[0]), *slots(record, 2, 3, 4)]
    renamed = [replace(slot, ref=other.ref) for slot in slots(record, 1, 2, 3, 4)]
    tries = Tries()
    for _ in range(300):
        assert combine(slots(record, *range(1, 11)), 3, tries) == record.key
    assert tries.left == module.MAX_TRIES
    with pytest.raises(BadRecord, match="no key"):
        combine(renamed, 3, tries)
    assert tries.left == module.MAX_TRIES - 4
    # Of four subsets one has no wrong share: what was tried before it is paid for.
    assert combine(one_wrong, 3, tries) == record.key
    assert 0 < module.MAX_TRIES - 4 - tries.left <= 3
    with pytest.raises(BadRecord, match="no key"):
        combine(slots(record, 1, 2, 3), 3, Tries(0))


def test_nothing_secret_is_shown() -> None:
    record = made()
    key = combine(slots(record, 1, 2, 3), 3)
    assert isinstance(key, RecordKey)
    shown = repr(record) + repr(record.slot(1)) + str(key) + f"{key}" + repr(slots(record, 1, 2))
    for secret in (key, *record.shares):
        assert bytes(secret).hex() not in shown
        assert repr(bytes(secret)) not in shown
    assert bytes(group.decode_scalar(key)) == bytes(key)
