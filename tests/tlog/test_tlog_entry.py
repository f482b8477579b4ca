from dataclasses import replace
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.tlog.entry import (
    BODY_BYTES,
    HEADER_BYTES,
    LEAF_BYTES,
    NO_BODY_HASH,
    WEEK_S,
    BadBody,
    BadHeader,
    BadLeaf,
    Entry,
    Kind,
    Leaf,
    SealedBody,
    charter_header,
    check_reference,
    in_tick_order,
    parse_body,
    parse_entry,
    parse_header,
    parse_leaf,
    retract_header,
    sealed_header,
    weeks_after,
)
from tocsin.tlog.merkle import MAX_SIZE

U16, U32 = st.integers(0, 2**16 - 1), st.integers(0, 2**32 - 1)
HEADERS = st.one_of(
    st.builds(sealed_header, U16, U32, U32, st.integers(1, 2**32 - 1)),
    st.builds(retract_header, st.integers(0, MAX_SIZE)),
    st.builds(charter_header, st.binary(min_size=32, max_size=32)),
)
SEALED = sealed_header(3, 2, 1, 2900)


def body(tag=0, rest=0):
    return SealedBody(bytes([tag]) * 16, bytes([rest]) * 24, bytes([rest]) * 528)


def test_the_bytes_of_each_kind():
    assert SEALED.encode().hex() == "0101" + "0003" + "00000002" + "00000001" + "00000b54" + "00" * 32
    assert retract_header(258).encode().hex() == "0102" + "00" * 44 + "0102"
    assert charter_header(bytes([0xAB]) * 32).encode().hex() == "0103" + "00" * 14 + "ab" * 32
    assert (HEADER_BYTES, BODY_BYTES, LEAF_BYTES) == (48, 568, 80)


@given(HEADERS)
def test_headers_round_trip(header):
    assert len(header.encode()) == HEADER_BYTES
    assert parse_header(header.encode()) == header


@pytest.mark.parametrize(
    ("at", "value", "why"),
    [
        (0, 0, "version 0"),
        (0, 2, "version 2"),
        (1, 0, "kind 0"),
        (1, 4, "kind 4"),
        (47, 1, "reference of a SEALED"),
    ],
)
def test_a_header_that_breaks_a_rule_is_refused(at, value, why):
    data = bytearray(SEALED.encode())
    data[at] = value
    with pytest.raises(BadHeader, match=why):
        parse_header(bytes(data))


@pytest.mark.parametrize("at", range(2, 16))
@pytest.mark.parametrize("header", [retract_header(5), charter_header(bytes(32))], ids=["retract", "charter"])
def test_retract_and_charter_have_zero_fields(header, at):
    data = bytearray(header.encode())
    data[at] = 1
    with pytest.raises(BadHeader, match="are zero"):
        parse_header(bytes(data))


@pytest.mark.parametrize("at", [16, 39, 40])
def test_a_retract_names_an_index_and_nothing_else(at):
    data = bytearray(retract_header(5).encode())
    data[at] = 0x80
    with pytest.raises(BadHeader, match="RETRACT"):
        parse_header(bytes(data))


@pytest.mark.parametrize(
    "changes",
    [
        {"key_class": 2**16},
        {"key_class": -1},
        {"epoch": 2**32},
        {"period": -1},
        {"not_after": 0},
        {"not_after": 2**32},
        {"reference": bytes(31)},
        {"reference": bytes([1]) * 32},
    ],
)
def test_an_impossible_header_is_not_built(changes):
    with pytest.raises(BadHeader):
        replace(SEALED, **changes)


@pytest.mark.parametrize("index", [-1, 2**63])
def test_a_retract_of_an_impossible_index_is_not_built(index):
    with pytest.raises(BadHeader):
        retract_header(index)


def test_a_retract_names_a_lower_index():
    check_reference(retract_header(4), 5)
    check_reference(SEALED, 0)
    check_reference(charter_header(bytes([255]) * 32), 0)
    for index in (0, 4):
        with pytest.raises(BadHeader, match="not lower"):
            check_reference(retract_header(4), index)


def test_weeks_round_up():
    assert weeks_after(0, 0) == 0
    assert weeks_after(0, 1) == 1
    assert weeks_after(WEEK_S, 0) == 1
    assert weeks_after(WEEK_S - 1, 2) == 2
    header = replace(SEALED, not_after=weeks_after(1_780_000_000, 7 * 86400))
    assert header.is_live(1_780_000_000 + 7 * 86400 - 1)
    assert header.is_live(header.not_after * WEEK_S - 1)
    assert not header.is_live(header.not_after * WEEK_S)


def test_leaf_and_body():
    entry = Entry(SEALED, body(1, 2))
    encoded = bytes([1]) * 16 + bytes([2]) * 552
    assert entry.leaf() == SEALED.encode() + sha256(encoded).digest()
    assert entry.leaf_hash() == sha256(b"\0" + entry.leaf()).digest()
    assert parse_entry(SEALED.encode(), encoded) == entry
    leaf = parse_leaf(entry.leaf())
    assert leaf.encode() == entry.leaf()
    assert leaf.hash() == entry.leaf_hash()
    assert leaf.open_body(encoded) == entry.body
    with pytest.raises(BadBody, match="committed"):
        leaf.open_body(body(1, 3).encode())
    bare = Entry(retract_header(1))
    assert bare.leaf() == retract_header(1).encode() + NO_BODY_HASH
    assert parse_entry(bare.header.encode(), b"") == bare
    assert parse_leaf(bare.leaf()) == Leaf(bare.header, NO_BODY_HASH)


def test_body_and_kind_go_together():
    with pytest.raises(BadBody):
        Entry(SEALED)
    with pytest.raises(BadBody):
        Entry(retract_header(1), body())
    with pytest.raises(BadLeaf):
        parse_leaf(SEALED.encode() + NO_BODY_HASH)
    with pytest.raises(BadLeaf):
        parse_leaf(retract_header(1).encode() + bytes(32))
    with pytest.raises(BadLeaf):
        Leaf(SEALED, bytes(31))
    with pytest.raises(BadBody):
        SealedBody(bytes(15), bytes(24), bytes(529))


@given(st.binary(max_size=120))
def test_hostile_bytes_give_named_errors(data):
    for parse, error in (
        (parse_header, BadHeader),
        (parse_body, BadBody),
        (parse_leaf, (BadLeaf, BadHeader)),
    ):
        with pytest.raises(error):
            parse(data if len(data) not in (48, 80) else data + b"x")


@given(st.binary(min_size=48, max_size=48))
def test_any_48_bytes_are_refused_or_round_trip(data):
    for candidate in (data, b"\x01" + data[1:], b"\x01\x01" + data[2:16] + bytes(32)):
        try:
            header = parse_header(candidate)
        except BadHeader:
            continue
        assert header.encode() == candidate


def test_tick_order():
    first, second = Entry(SEALED, body(1, 1)), Entry(SEALED, body(1, 2))
    last = Entry(SEALED, body(9))
    low, high = Entry(retract_header(3)), Entry(retract_header(300))
    charter = Entry(charter_header(bytes(32)))
    given_order = [charter, high, last, first, low, second]
    assert in_tick_order(given_order) == [first, second, last, low, high, charter]
    assert in_tick_order([second, first]) == [second, first], "ties keep the order of acknowledgement"
    assert [kind.value for kind in Kind] == [1, 2, 3]
