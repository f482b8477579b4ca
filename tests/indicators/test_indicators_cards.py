"""Raw card numbers are refused everywhere, however they are written."""

import json
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tocsin.indicators.cards import holds_card_number, luhn_valid
from tocsin.indicators.registry import TYPES, Mode, Refused, observable

PUBLISHED = [
    "4111111111111111",
    "4222222222222",
    "378282246310005",
    "30569309025904",
    "5555555555554444",
    "6011111111111117",
    "3530111333300000",
    "6304000000000000000",
]

WRITTEN: list[Callable[[str], str]] = [
    lambda n: n,
    lambda n: " ".join(n[i : i + 4] for i in range(0, len(n), 4)),
    lambda n: "-".join(n[i : i + 4] for i in range(0, len(n), 4)),
    lambda n: ".".join(n[i : i + 6] for i in range(0, len(n), 6)),
    lambda n: "".join(chr(0xFF10 + int(c)) for c in n),
    lambda n: "".join(chr(0x0660 + int(c)) for c in n),
    lambda n: " - ".join(n[i : i + 4] for i in range(0, len(n), 4)),
    "\u200b".join,
    lambda n: f"order 7 {n}",
    lambda n: f"x{n}y",
]


@pytest.mark.parametrize("type", list(TYPES))
@pytest.mark.parametrize("number", [n for n in PUBLISHED if luhn_valid(n)])
def test_a_bare_card_number_is_refused_by_every_type(type: str, number: str) -> None:
    for write in WRITTEN:
        for mode in Mode:
            with pytest.raises(Refused):
                observable(type, write(number), mode=mode)


@pytest.mark.parametrize("number", [n for n in PUBLISHED if luhn_valid(n)])
@pytest.mark.parametrize(
    ("type", "around"),
    [
        ("contact.email", "{}@company.org"),
        ("contact.email", "jane.{}@gmail.com"),
        ("device.id", "acme:{}"),
        ("device.id", "acme:device/{}/1"),
        ("org.domain", "{}.com"),
        ("client.tools", '[{{"name":"mine","description":"{}"}}]'),
        ("client.tools", '[{{"name":"{}"}}]'),
    ],
)
def test_a_card_number_inside_other_text_is_named_as_one(type: str, around: str, number: str) -> None:
    with pytest.raises(Refused) as caught:
        observable(type, around.format(number), mode=Mode.TEST)
    assert caught.value.rule == "card.number"
    assert number not in str(caught.value)


@given(digits=st.text("0123456789", min_size=12, max_size=18), gap=st.sampled_from(["", " ", "-"]))
@example(digits="411111111111111", gap="")
def test_a_run_is_a_card_exactly_if_its_check_digit_fits(digits: str, gap: str) -> None:
    numbers = [digits + check for check in "0123456789"]
    assert [holds_card_number(gap.join(n)) for n in numbers if luhn_valid(n)][:1] == [True]
    if not gap:
        assert [holds_card_number(n) for n in numbers] == [luhn_valid(n) for n in numbers]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "411111111111",
        "4111111111111112",
        "4111  x1111 1111 1111",
        "2026-11-23 15:23:30",
        "a1b2c3d4e5f6a7b8c9",
    ],
)
def test_what_is_no_card(text: str) -> None:
    assert not holds_card_number(text)


def test_a_card_in_a_longer_row_of_digits_is_found() -> None:
    assert holds_card_number("99" * 3 + "4111111111111111" + "99")
    assert holds_card_number("123 4111111111111111")


def test_what_looks_like_a_card_elsewhere_is_let_through() -> None:
    assert observable("device.id", "imei:490154203237518").canonical.endswith(b"518")
    assert observable("contact.phone", "+49 1520 1234567").canonical == b"+4915201234567"
    assert observable("payment.composite", "45399578|0043|2705").canonical
    assert observable("client.tools", json.dumps([{"name": "mine", "n": 12345.5}])).canonical


@pytest.mark.parametrize(
    "hidden", ["411111\U0001fae81111111111@company.org", "jane@411111\U0001fae81111111111.com"]
)
def test_a_card_number_that_folding_brings_together_is_refused(hidden: str) -> None:
    with pytest.raises(Refused) as caught:
        observable("contact.email", hidden)
    assert caught.value.rule == "card.number"
