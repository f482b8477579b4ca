from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sealing.sealing_steps import DISPUTE, REPORT, WRITERS
from tocsin.sealing.box import CONTENT_BYTES
from tocsin.sealing.label import (
    MAX_LABEL_BYTES,
    AbuseKind,
    BadLabel,
    ContentKind,
    Dispute,
    DisputeReason,
    Evidence,
    LegalBasis,
    Report,
    Role,
    Tlp,
    bucket,
    bucket_range,
    encode_label,
    encode_record,
    parse_label,
    parse_record,
)

IDS = st.binary(min_size=16, max_size=16)
TYPES = st.from_regex(r"[a-z0-9]{1,20}(\.[a-z0-9]{1,20}){0,2}", fullmatch=True)


@st.composite
def reports(draw: st.DrawFn) -> Report:
    weeks = sorted(draw(st.tuples(st.integers(0, 65535), st.integers(0, 65535))))
    evidence = draw(st.sampled_from(Evidence))
    own = evidence is Evidence.OWN_DETECTION
    entries = st.lists(st.tuples(IDS, st.integers(0, 2**63 - 1)), min_size=1, max_size=16, unique=True)
    return Report(
        type=draw(TYPES),
        tlp=draw(st.sampled_from(Tlp)),
        abuse=draw(st.sampled_from(AbuseKind)),
        role=draw(st.sampled_from(Role)),
        bad_accounts_bucket=draw(st.integers(0, 63)),
        exchanges_bucket=draw(st.integers(0, 63)),
        first_week=weeks[0],
        last_week=weeks[1],
        evidence=evidence,
        rests_on=() if own else tuple(draw(entries)),
        hops=0 if own else draw(st.integers(1, 4)),
        confidence=draw(st.integers(0, 100)),
        campaign_key=draw(st.none() | st.binary(min_size=32, max_size=32)),
        legal_basis=draw(st.sampled_from(LegalBasis)),
    )


DISPUTES = st.builds(
    Dispute,
    TYPES,
    st.lists(st.tuples(IDS, st.integers(0, 2**63 - 1)), min_size=1, max_size=8, unique=True).map(tuple),
    st.sampled_from(DisputeReason),
)
LABELS = reports() | DISPUTES


@given(LABELS)
def test_a_label_reads_as_it_was_written(label: Report | Dispute) -> None:
    encoded = encode_label(label)
    assert parse_label(encoded) == label
    assert len(encoded) <= MAX_LABEL_BYTES <= CONTENT_BYTES


@given(reports())
def test_a_record_says_what_its_report_says_under_a_kind_of_its_own(label: Report) -> None:
    encoded = encode_record(label)
    assert parse_record(encoded) == label
    assert encoded[:1] + bytes([ContentKind.REPORT]) + encoded[2:] == encode_label(label)
    for read, raw in ((parse_label, encoded), (parse_record, encode_label(label))):
        with pytest.raises(BadLabel) as caught:
            read(raw)
        assert caught.value.field == "kind"
    for raw in (encoded[:-1], encoded + b"\0"):
        with pytest.raises(BadLabel):
            parse_record(raw)


def test_a_dispute_is_no_record() -> None:
    with pytest.raises(BadLabel, match="must be a record"):
        parse_record(encode_label(DISPUTE))


def test_the_longest_label_fits_its_box() -> None:
    longest = Report(
        **{
            **{name: getattr(REPORT, name) for name in REPORT.__slots__},
            "type": "a" * 64,
            "rests_on": tuple((WRITERS[0], index) for index in range(16)),
        }
    )
    assert len(encode_label(longest)) <= MAX_LABEL_BYTES


@given(LABELS, st.data())
def test_every_cut_and_every_added_byte_is_refused(label: Report | Dispute, data: st.DataObject) -> None:
    encoded = encode_label(label)
    with pytest.raises(BadLabel):
        parse_label(encoded[: data.draw(st.integers(0, len(encoded) - 1))])
    with pytest.raises(BadLabel):
        parse_label(encoded + data.draw(st.binary(min_size=1, max_size=4)))


@given(st.binary(max_size=600) | LABELS.map(encode_label), st.data())
def test_hostile_bytes_give_bad_label_or_one_canonical_label(raw: bytes, data: st.DataObject) -> None:
    changed = bytearray(raw)
    if changed:
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    try:
        label = parse_label(bytes(changed))
    except BadLabel:
        return
    assert encode_label(label) == bytes(changed)


REPORT_START = 3 + len(REPORT.type)


@pytest.mark.parametrize(
    ("offset", "value", "field"),
    [
        (0, 2, "version"),
        (1, 0, "kind"),
        (1, 3, "kind"),
        (1, 5, "kind"),
        (1, 6, "kind"),
        (1, 9, "kind"),
        (2, 0, "type"),
        (3, ord("A"), "type"),
        (3, 0xFF, "type"),
        (REPORT_START, 0, "tlp"),
        (REPORT_START, 6, "tlp"),
        (REPORT_START + 1, 7, "abuse"),
        (REPORT_START + 2, 3, "role"),
        (REPORT_START + 3, 64, "bad_accounts_bucket"),
        (REPORT_START + 4, 64, "exchanges_bucket"),
        (REPORT_START + 5, 0xFF, "last_week"),
        (REPORT_START + 9, 3, "evidence"),
        (REPORT_START + 9, 1, "hops"),
        (REPORT_START + 10, 0, "hops"),
        (REPORT_START + 10, 5, "hops"),
        (REPORT_START + 11, 101, "confidence"),
        (REPORT_START + 12, 6, "legal_basis"),
        (REPORT_START + 13, 2, "flags"),
        (REPORT_START + 13, 0x81, "flags"),
        (REPORT_START + 46, 0, "count of rests_on"),
    ],
)
def test_each_unknown_number_names_its_field(offset: int, value: int, field: str) -> None:
    encoded = bytearray(encode_label(REPORT))
    encoded[offset] = value
    with pytest.raises(BadLabel) as caught:
        parse_label(bytes(encoded))
    assert caught.value.field == field


def test_kind_numbers_are_fixed() -> None:
    assert {kind.name: kind.value for kind in ContentKind} == {
        "REPORT": 1,
        "DISPUTE": 2,
        "CAMPAIGN": 3,
        "SIGHTING": 4,
        "RECORD": 5,
        "BAND": 6,
    }
    assert encode_label(DISPUTE)[1] == ContentKind.DISPUTE


@pytest.mark.parametrize(
    "disputed",
    [
        (),
        tuple((bytes(16), n) for n in range(9)),
        ((bytes(16), 1), (bytes(16), 1)),
        ((bytes(15), 1),),
        ((bytes(16), -1),),
    ],
)
def test_disputes_name_one_to_eight_distinct_entries(disputed: tuple[tuple[bytes, int], ...]) -> None:
    with pytest.raises(BadLabel):
        Dispute("net.ipv4", disputed, DisputeReason.OTHER)


def test_a_campaign_key_is_never_shown() -> None:
    assert REPORT.campaign_key is not None
    assert "campaign_key" not in repr(REPORT)
    assert repr(REPORT.campaign_key) not in repr(REPORT)


@given(st.integers(0, 2**63 - 1))
def test_a_bucket_holds_its_count_and_doubles(count: int) -> None:
    low, high = bucket_range(bucket(count))
    assert low <= count <= high < max(1, 2 * low)


@pytest.mark.parametrize(("count", "expected"), [(0, 0), (1, 1), (2, 2), (3, 2), (4, 3), (25_000, 15)])
def test_buckets(count: int, expected: int) -> None:
    assert bucket(count) == expected


def test_counts_and_buckets_out_of_range_are_refused() -> None:
    for call, value in ((bucket, -1), (bucket, 2**63), (bucket_range, 64), (bucket_range, -1)):
        with pytest.raises(BadLabel):
            call(value)
