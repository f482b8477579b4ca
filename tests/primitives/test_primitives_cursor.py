"""One cursor for every binary structure: what is missing, too long or left over is refused by name."""

import pytest

from tocsin.primitives.cursor import Cursor


class Refused(Exception):
    def __init__(self, field: str, rule: str) -> None:
        super().__init__(f"{field}: {rule}")


def test_fields_are_taken_from_the_front() -> None:
    cursor = Cursor(b"tag\x01\x02\x00\x03abcrest", Refused)
    cursor.expect("label", b"tag")
    assert cursor.number("number", 2) == 0x0102
    assert cursor.prefixed("name", 2, 3) == b"abc"
    assert cursor.rest() == b"rest"
    cursor.end()


@pytest.mark.parametrize("short", range(5))
def test_a_field_that_ends_early_is_named(short: int) -> None:
    with pytest.raises(Refused, match=r"^name: [23] bytes expected"):
        Cursor(b"\x00\x03abc"[:short], Refused).prefixed("name", 2, 3)


def test_a_length_is_refused_before_anything_of_it_is_read() -> None:
    with pytest.raises(Refused, match="name: at most 3 allowed, got 65535"):
        Cursor(b"\xff\xff", Refused).prefixed("name", 2, 3)


def test_other_constants_and_bytes_that_follow_are_refused() -> None:
    with pytest.raises(Refused, match="label: must be b'tag'"):
        Cursor(b"tug", Refused).expect("label", b"tag")
    with pytest.raises(Refused, match="1 bytes follow"):
        Cursor(b"x", Refused).end()
