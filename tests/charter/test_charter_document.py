from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.charter.charter_drafts import DAY, NOW, YEAR, class_key, dealt, draft, material, member, period
from tocsin.charter import document
from tocsin.charter.document import Charter, Contact, Policy, parse_charter
from tocsin.charter.errors import BadCharter, NotAMember, UnknownClass, UnknownEpoch
from tocsin.oprf import group
from tocsin.oprf.threshold import committee_hash
from tocsin.sealing.pepper import PERIOD_SECONDS

CHARTER = draft(
    classes=(
        class_key([1, 2, 3], epoch=1, overlap_until=NOW + DAY),
        class_key([1, 2, 3], epoch=2),
        class_key([3, 1, 2], t=3, key_class=5, name="ipv4", retention_days=7),
    )
)
DOCUMENT = CHARTER.encode()


def changed(path: list[Any], value: Any) -> bytes:
    """Return the document with one place of its JSON changed, canonical again."""
    root = json.loads(DOCUMENT)
    place = root
    for step in path[:-1]:
        place = place[step]
    if value is KeyError:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return rfc8785.dumps(root)


def test_a_charter_reads_as_it_was_written() -> None:
    assert parse_charter(DOCUMENT) == CHARTER
    assert parse_charter(DOCUMENT).encode() == DOCUMENT
    assert rfc8785.dumps(json.loads(DOCUMENT)) == DOCUMENT


ID2 = member(2).id.hex()
REFUSED: list[tuple[list[Any], Any, str, str]] = [
    (["surprise"], 1, "unknown-key", "$"),
    (["tick_seconds"], KeyError, "missing-key", "$"),
    (["members", 1, "surprise"], 1, "unknown-key", "$.members[1]"),
    (["federation"], "Example.test", "federation", "$.federation"),
    (["federation"], "a" * 65, "federation", "$.federation"),
    (["federation"], "a..b", "federation", "$.federation"),
    (["federation"], 7, "type", "$.federation"),
    (["version"], 0, "range", "$.version"),
    (["version"], True, "type", "$.version"),
    (["attempt"], 0, "range", "$.attempt"),
    (["attempt"], 2**32, "range", "$.attempt"),
    (["version"], "1", "type", "$.version"),
    (["version"], 1.5, "type", "$"),
    (["mode"], "prod", "mode", "$.mode"),
    (["expires"], NOW, "range", "$.expires"),
    (["issued"], -1, "range", "$.issued"),
    (["period", "number"], 2**32, "range", "$.period.number"),
    (["period", "number"], 2**32 - (YEAR - 1) // PERIOD_SECONDS, "range", "$.period.number"),
    (["period", "start"], NOW + 1, "range", "$.period.start"),
    (["period", "commitment"], "00" * 31, "length", "$.period.commitment"),
    (["period", "commitment"], "AA" * 32, "hex", "$.period.commitment"),
    (["period", "sealed", ID2], KeyError, "sealed-to", "$.period.sealed"),
    (["period", "sealed", "09" * 16], "00" * 80, "sealed-to", "$.period.sealed"),
    (["period", "sealed", ID2], "00" * 79, "length", "$.period.sealed"),
    (["members"], [], "count", "$.members"),
    (["members"], {}, "type", "$.members"),
    (["members", 0, "id"], "00" * 15, "length", "$.members[0].id"),
    (["members", 0, "id"], member(2).id.hex(), "order", "$.members"),
    (["members", 0, "name"], "Provider 2", "distinct", "$.members"),
    (["members", 0, "name"], "PROVIDER 3", "distinct", "$.members"),
    (["members", 0, "name"], "tab\there", "name", "$.members[0].name"),
    (["members", 0, "name"], " x", "name", "$.members[0].name"),
    (["members", 0, "contact"], KeyError, "missing-key", "$.members[0]"),
    (["members", 0, "contact", "note"], KeyError, "missing-key", "$.members[0].contact"),
    (["members", 0, "contact", "pager"], "1", "unknown-key", "$.members[0].contact"),
    (["members", 0, "contact", "email"], "abuse", "email", "$.members[0].contact.email"),
    (["members", 0, "contact", "email"], "a b@c.example", "email", "$.members[0].contact.email"),
    (["members", 0, "contact", "email"], "a@b@c.example", "email", "$.members[0].contact.email"),
    (["members", 0, "contact", "email"], "a" * 245 + "@c.example", "email", "$.members[0].contact.email"),
    (["members", 0, "contact", "phone"], "030 123", "phone", "$.members[0].contact.phone"),
    (["members", 0, "contact", "phone"], "+1234567890123456", "phone", "$.members[0].contact.phone"),
    (["members", 0, "contact", "key"], "99" * 4097, "size", "$.members[0].contact.key"),
    (["members", 0, "contact", "key"], b"-----BEGIN".hex(), "contact-key", "$.members[0].contact.key"),
    (["members", 0, "contact", "key"], b"age1UPPER".hex(), "contact-key", "$.members[0].contact.key"),
    (["members", 0, "contact", "note"], "x" * 257, "note", "$.members[0].contact.note"),
    (["members", 0, "contact", "note"], "two\nlines", "note", "$.members[0].contact.note"),
    (["members", 0, "endpoints"], [], "count", "$.members[0].endpoints"),
    (["members", 0, "ca"], "", "size", "$.members[0].ca"),
    (["members", 0, "log"], "00" * 33, "length", "$.members[0].log"),
    (["members", 0, "log"], member(1).node.hex(), "distinct", "$.members[0]"),
    (["members", 0, "log"], member(2).node.hex(), "distinct", "$.members"),
    (["classes", 0, "key_class"], 0, "range", "$.classes[0].key_class"),
    (["classes", 0, "name"], "Payment", "name", "$.classes[0].name"),
    (["classes", 0, "name"], "other", "name", "$.classes[0].name"),
    (["classes", 2, "name"], "payment", "name", "$.classes[1].name"),
    (["classes", 0, "epoch"], 2, "order", "$.classes[0]"),
    (["classes", 0, "threshold"], 4, "range", "$.classes[0].threshold"),
    (["classes", 0, "threshold"], 0, "range", "$.classes[0].threshold"),
    (["classes", 0, "threshold"], 1, "count", "$.classes[0].commitments"),
    (["classes", 0, "committee"], [], "count", "$.classes[0].committee"),
    (["classes", 0, "committee"], [ID2] * 8, "count", "$.classes[0].committee"),
    (["classes", 0, "committee", 0], ID2, "distinct", "$.classes[0].committee"),
    (["classes", 0, "committee", 1], "09" * 16, "members-only", "$.classes[0].committee[1]"),
    (["classes", 0, "commitments", 1], "00" * 32, "commitment", "$.classes[0].commitments[1]"),
    (["classes", 0, "commitments", 1], "ff" * 32, "commitment", "$.classes[0].commitments[1]"),
    (["classes", 0, "commitments", 0], "00" * 31, "commitment", "$.classes[0].commitments[0]"),
    (["classes", 0, "budget"], 0, "range", "$.classes[0].budget"),
    (["classes", 0, "smallest_space"], "0", "decimal", "$.classes[0].smallest_space"),
    (["classes", 0, "smallest_space"], "9" * 81, "range", "$.classes[0].smallest_space"),
    (["classes", 0, "smallest_space"], 5, "type", "$.classes[0].smallest_space"),
    (["classes", 0, "retention_days"], 54, "range", "$.classes[0].retention_days"),
    (["classes", 0, "retention_days"], 48, "retention", "$.classes[0].retention_days"),
    (["classes", 0, "overlap_until"], None, "overlap", "$.classes[0].overlap_until"),
    (["classes", 1, "overlap_until"], NOW, "overlap", "$.classes[1].overlap_until"),
    (["tick_seconds"], 0, "range", "$.tick_seconds"),
    (["tick_seconds"], 3601, "range", "$.tick_seconds"),
    (["snapshots", 0], "../etc", "snapshot", "$.snapshots[0]"),
    (["snapshots"], ["a", "a"], "distinct", "$.snapshots"),
    (["policy", "max_hops"], 5, "range", "$.policy.max_hops"),
    (["policy", "entries_per_day"], 0, "range", "$.policy.entries_per_day"),
    (["policy"], [], "type", "$.policy"),
]


@pytest.mark.parametrize(("path", "value", "rule", "place"), REFUSED)
def test_each_rule_names_itself_and_its_place(path: list[Any], value: Any, rule: str, place: str) -> None:
    with pytest.raises(BadCharter) as caught:
        parse_charter(changed(path, value))
    assert (caught.value.rule, caught.value.path) == (rule, place)
    assert place in str(caught.value)


ENDPOINTS = {
    "node.example.test:7443": True,
    "192.0.2.1:1": True,
    "[2001:db8::1]:65535": True,
    "localhost:50051": True,
    "node.example.test": False,
    "node.example.test:0": False,
    "node.example.test:65536": False,
    "node.example.test:07": False,
    "-bad.example:1": False,
    "[::zz]:1": False,
    "2001:db8::1:443": False,
    "http://node:1": False,
    "user@node:1": False,
    "node:1\n": False,
    "Node:1": False,
}


@pytest.mark.parametrize(("endpoint", "good"), ENDPOINTS.items())
def test_endpoints(endpoint: str, good: bool) -> None:
    raw = changed(["members", 0, "endpoints", 0], endpoint)
    if good:
        assert parse_charter(raw).members[0].endpoints == (endpoint,)
        return
    with pytest.raises(BadCharter) as caught:
        parse_charter(raw)
    assert caught.value.rule == "endpoint"


@pytest.mark.parametrize(
    "raw",
    [
        DOCUMENT + b"\n",
        b" " + DOCUMENT,
        json.dumps(json.loads(DOCUMENT)).encode(),
        DOCUMENT.replace(b'"version":1}', b'"version":1,"version":1}'),
        DOCUMENT.replace(b"payment", b"\\u0070ayment", 1),
    ],
    ids=["newline", "space", "spaces", "repeated key", "escape"],
)
def test_only_canonical_bytes_are_accepted(raw: bytes) -> None:
    assert raw != DOCUMENT
    with pytest.raises(BadCharter) as caught:
        parse_charter(raw)
    assert caught.value.rule == "canonical"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"\xff",
        b"\xef\xbb\xbf{}",
        b"[" * 200_000,
        b"1" * 5000,
        b"NaN",
        b'"\\ud800"',
        b"null",
        b"[]",
        b" " * (document.MAX_DOCUMENT_BYTES + 1),
    ],
    ids=lambda raw: repr(raw[:6]),
)
def test_hostile_json_raises_bad_charter(raw: bytes) -> None:
    with pytest.raises(BadCharter):
        parse_charter(raw)


@settings(max_examples=60)
@given(st.data())
def test_any_changed_byte_is_refused_or_another_charter(data: st.DataObject) -> None:
    raw = bytearray(DOCUMENT)
    raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        parsed = parse_charter(bytes(raw))
    except BadCharter:
        return
    assert parsed.encode() == bytes(raw)


@pytest.mark.parametrize("key", [b"", b"\x99\x01\x0d\x04", b"\xc6\x33\x06", b"\x99" * 4096, b"age1qqqsyqcy"])
def test_a_contact_may_be_empty_or_at_its_limits(key: bytes) -> None:
    full = Contact("a" * 244 + "@c.example", "+123456789012345", key, "ä" * 256)
    for contact in (full, Contact()):
        charter = replace(
            CHARTER, members=(replace(CHARTER.members[0], contact=contact), *CHARTER.members[1:])
        )
        assert parse_charter(charter.encode()).members[0].contact == contact


def test_a_lone_surrogate_is_refused() -> None:
    with pytest.raises(BadCharter):
        parse_charter(DOCUMENT.replace(b"Provider 1", b"\\ud800"))


def test_what_is_constructed_obeys_the_same_rules() -> None:
    with pytest.raises(BadCharter):
        replace(CHARTER, tick_seconds=0)
    with pytest.raises(BadCharter):
        replace(CHARTER, members=tuple(reversed(CHARTER.members)))
    with pytest.raises(BadCharter):
        replace(CHARTER, classes=(class_key([1, 2, 3], commitments=(bytes(32), bytes(32))),))


def test_a_key_serves_one_class_and_epoch() -> None:
    one = class_key([1, 2, 3], epoch=1, overlap_until=NOW + DAY)
    for twin in (
        class_key([1, 2, 3], epoch=2, commitments=one.commitments),
        class_key([1, 2, 3], key_class=5, name="ipv4", commitments=one.commitments),
        # The same key, shared among others.
        class_key([1, 2, 3], t=3, key_class=5, name="ipv4", commitments=dealt("epoch 1", 3, 3)),
    ):
        first = one if twin.key_class == 1 else replace(one, overlap_until=None)
        with pytest.raises(BadCharter) as caught:
            draft(classes=(first, twin))
        assert (caught.value.rule, caught.value.path) == ("distinct", "$.classes")


@pytest.mark.parametrize(
    "coefficients",
    [
        pytest.param((5, 3, -3), id="Y_1 is Y"),
        pytest.param((5, 3, -1), id="Y_1 is Y_2"),
        pytest.param((-4, 3, 1), id="Y_1 is the identity"),
    ],
)
def test_no_public_share_is_the_identity_the_key_or_anothers(coefficients: tuple[int, int, int]) -> None:
    order = group.GROUP_ORDER
    constant, linear, square = coefficients
    commitments = tuple(
        group.base_multiply(group.scalar_of(coefficient % order))
        for coefficient in (constant, linear, square)
    )
    with pytest.raises(BadCharter) as caught:
        draft(classes=(class_key([1, 2, 3], t=3, commitments=commitments),))
    assert (caught.value.rule, caught.value.path) == ("public-share", "$.classes[0].commitments")


def test_one_seat_is_no_threshold_in_live_mode() -> None:
    alone = (class_key([1, 2, 3], t=1),)
    assert draft(classes=alone).classes == alone
    with pytest.raises(BadCharter) as caught:
        draft(classes=alone, mode="live")
    assert (caught.value.rule, caught.value.path) == ("range", "$.classes[0].threshold")


def test_look_ups() -> None:
    assert CHARTER.member(member(2).id) == member(2)
    with pytest.raises(NotAMember):
        CHARTER.member(bytes(16))
    assert CHARTER.class_key(1, 2).epoch == 2
    with pytest.raises(UnknownEpoch):
        CHARTER.class_key(1, 3)
    for call in (lambda: CHARTER.class_key(2, 1), lambda: CHARTER.live_classes(2, NOW)):
        with pytest.raises(UnknownClass):
            call()
    assert [key.epoch for key in CHARTER.live_classes(1, NOW)] == [2, 1]
    assert [key.epoch for key in CHARTER.live_classes(1, NOW + DAY)] == [2]
    key = CHARTER.class_key(5, 1)
    assert key.seats_of(member(3).id) == (1,)
    assert key.seats_of(bytes(16)) == ()
    assert key.committee_hash == committee_hash(key.committee, key.commitments)


def test_coverage_follows_the_budget_bound() -> None:
    key = class_key([1, 2, 3], budget=100, smallest_space=1000)
    assert key.coverage(0) == Fraction(150, 1000)
    assert key.coverage(1) == Fraction(200, 1000)
    assert key.coverage(2) is None


def test_periods() -> None:
    month = document.PERIOD_SECONDS
    assert month == PERIOD_SECONDS
    charter = draft(period=period(CHARTER.members, "pepper", 40, NOW))
    assert [charter.period_at(NOW + seconds) for seconds in (-1, 0, month - 1, month, 5 * month)] == [
        40,
        40,
        40,
        41,
        45,
    ]
    assert charter.last_period == 40 + (YEAR - 1) // month
    assert charter.live_periods(NOW) == range(40, 41)
    assert charter.live_periods(NOW + 2 * month) == range(40, 43)
    assert charter.live_periods(NOW + 2 * month + DAY) == range(40, 43)
    assert charter.live_periods(NOW + 3 * month) == range(41, 44)


def test_a_hundred_members_fit() -> None:
    large = draft(range(1, 101))
    assert parse_charter(large.encode()) == large
    with pytest.raises(BadCharter) as caught:
        draft(range(1, 102))
    assert caught.value.rule == "count"


def test_sealed_peppers_cannot_be_changed_later() -> None:
    with pytest.raises(TypeError):
        CHARTER.period.sealed[bytes(16)] = b""  # type: ignore[index]  # the point of the test
    assert material("pepper 1", 80).hex() not in repr(CHARTER)
    assert isinstance(CHARTER, Charter)
    assert Policy(1, 0) == Policy(1, 0)
