import ctypes
import ctypes.util
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.oprf import group
from tocsin.oprf.group import (
    GROUP_ORDER,
    BadElement,
    BadScalar,
    BatchMismatch,
    Element,
    LibsodiumMissing,
    Scalar,
)

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "rfc9496-ristretto255.json").read_text())
GENERATOR = bytes.fromhex("e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76")
DST = b"test"

public_scalars = st.integers(1, GROUP_ORDER - 1)


def as_int(scalar: Scalar) -> int:
    return int.from_bytes(scalar, "little")


@pytest.mark.parametrize("encoding", VECTORS["invalid"])
def test_rfc9496_invalid_encodings_are_refused_with_their_index(encoding: str) -> None:
    with pytest.raises(BadElement) as caught:
        group.decode_elements([GENERATOR, GENERATOR, bytes.fromhex(encoding)])
    assert (caught.value.index, caught.value.rule) == (2, "non-canonical")
    assert encoding not in str(caught.value)


@pytest.mark.parametrize("encoding", [GENERATOR, bytes(32)])
def test_the_highest_bit_makes_no_second_encoding(encoding: bytes) -> None:
    with pytest.raises(BadElement) as caught:
        group.decode_elements([GENERATOR, encoding[:31] + bytes([encoding[31] | 0x80])])
    assert (caught.value.index, caught.value.rule) == (1, "non-canonical")


def test_rfc9496_uniform_bytes_map_to_the_published_elements() -> None:
    uniform, expected = zip(*VECTORS["from_uniform"], strict=True)
    found = group.from_uniform([bytes.fromhex(item) for item in uniform])
    assert [item.hex() for item in found] == list(expected)


def test_the_identity_is_refused_although_the_library_calls_it_valid() -> None:
    with pytest.raises(BadElement) as caught:
        group.decode_elements([GENERATOR, bytes(32)])
    assert (caught.value.index, caught.value.rule) == (1, "identity")


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_a_wrong_length_is_refused_before_any_element_is_decoded(length: int) -> None:
    with pytest.raises(BadElement) as caught:
        group.decode_elements([b"\xff" * 32, b"\x01" * length])
    assert (caught.value.index, caught.value.rule) == (1, "length")


def test_decoding_keeps_bytes_and_order() -> None:
    elements = group.hash_to_group([b"a", b"b", b"c"], DST)
    decoded = group.decode_elements([bytes(item) for item in elements])
    assert decoded == elements
    assert all(type(item) is Element for item in decoded)
    assert group.decode_elements([]) == []


@pytest.mark.parametrize(
    "raw",
    [
        bytes(32),
        GROUP_ORDER.to_bytes(32, "little"),
        (GROUP_ORDER + 1).to_bytes(32, "little"),
        b"\xff" * 32,
        b"\x01" * 31,
        b"\x01" * 33,
    ],
)
def test_a_scalar_that_is_zero_too_large_or_of_another_length_is_refused(raw: bytes) -> None:
    with pytest.raises(BadScalar) as caught:
        group.decode_scalar(raw)
    assert raw.hex() not in str(caught.value)


def test_the_largest_scalar_is_accepted() -> None:
    raw = (GROUP_ORDER - 1).to_bytes(32, "little")
    assert group.decode_scalar(raw) == raw


def test_a_random_scalar_is_64_bytes_reduced() -> None:
    wide = bytes(range(64))
    asked: list[int] = []

    def random(count: int) -> bytes:
        asked.append(count)
        return wide

    assert as_int(group.random_scalar(random)) == int.from_bytes(wide, "little") % GROUP_ORDER
    assert asked == [64]
    with pytest.raises(BadScalar):
        group.random_scalar(bytes)


@settings(max_examples=40, deadline=None)
@given(public_scalars, public_scalars)
def test_scalar_arithmetic_agrees_with_integers(a: int, b: int) -> None:
    x, y = group.scalar_of(a), group.scalar_of(b)
    assert as_int(group.scalar_add(x, y)) == (a + b) % GROUP_ORDER
    assert as_int(group.scalar_sub(x, y)) == (a - b) % GROUP_ORDER
    assert as_int(group.scalar_mul(x, y)) == a * b % GROUP_ORDER
    assert as_int(group.scalar_invert(x)) == pow(a, -1, GROUP_ORDER)


@settings(max_examples=20, deadline=None)
@given(st.lists(public_scalars, max_size=9))
def test_inverting_many_is_inverting_each(numbers: list[int]) -> None:
    found = group.scalar_invert_each([group.scalar_of(number) for number in numbers])
    assert [as_int(item) for item in found] == [pow(number, -1, GROUP_ORDER) for number in numbers]


def test_zero_has_no_inverse_anywhere_in_a_batch() -> None:
    scalars = [group.scalar_of(number) for number in (3, 0, 5)]
    with pytest.raises(BadScalar):
        group.scalar_invert_each(scalars)


def test_multiples_of_the_generator_agree_with_repeated_addition() -> None:
    assert group.base_multiply(group.scalar_of(1)) == GENERATOR
    total = Element(GENERATOR)
    for number in range(2, 16):
        total = group.add([total], [Element(GENERATOR)])[0]
        assert group.base_multiply(group.scalar_of(number)) == total
    assert group.multiply(group.scalar_of(15), [Element(GENERATOR)]) == [total]


def test_batches_agree_with_single_operations() -> None:
    elements = group.hash_to_group([bytes([number]) for number in range(5)], DST)
    scalars = [group.random_scalar(os.urandom) for _ in elements]
    key = scalars[0]
    assert group.multiply(key, elements) == [group.multiply(key, [item])[0] for item in elements]
    each = group.multiply_each(scalars, elements)
    assert each == [group.multiply(s, [e])[0] for s, e in zip(scalars, elements, strict=True)]
    total = each[0]
    for item in each[1:]:
        total = group.add([total], [item])[0]
    assert group.multi_scalar_sum(scalars, elements) == total
    assert group.multiply(key, []) == group.multiply_each([], []) == group.add([], []) == []


def test_results_that_are_the_identity_are_refused_with_their_index() -> None:
    elements = group.hash_to_group([b"a", b"b"], DST)
    zero, one, minus = group.scalar_of(0), group.scalar_of(1), group.scalar_of(-1)
    opposite = group.multiply(minus, elements)
    with pytest.raises(BadElement) as caught:
        group.multiply_each([one, zero], elements)
    assert (caught.value.index, caught.value.rule) == (1, "identity")
    with pytest.raises(BadElement, match="identity"):
        group.multiply(zero, elements)
    with pytest.raises(BadElement) as caught:
        group.add(elements, [elements[0], opposite[1]])
    assert (caught.value.index, caught.value.rule) == (1, "identity")
    with pytest.raises(BadElement, match="identity"):
        group.multi_scalar_sum([one, one], [elements[0], opposite[0]])
    with pytest.raises(BadScalar):
        group.base_multiply(zero)


def test_lists_of_different_lengths_are_refused() -> None:
    elements = group.hash_to_group([b"a", b"b"], DST)
    one = group.scalar_of(1)
    with pytest.raises(BatchMismatch):
        group.multiply_each([one], elements)
    with pytest.raises(BatchMismatch):
        group.add(elements, elements[:1])
    with pytest.raises(BatchMismatch):
        group.multi_scalar_sum([one], elements)
    with pytest.raises(BatchMismatch):
        group.multi_scalar_sum([], [])


def test_a_wrongly_wrapped_value_never_reaches_the_library() -> None:
    short_element, short_scalar, one = Element(b"\x01" * 31), Scalar(b"\x01"), group.scalar_of(1)
    good = Element(GENERATOR)
    with pytest.raises(BadElement) as caught:
        group.multiply(one, [good, short_element])
    assert (caught.value.index, caught.value.rule) == (1, "length")
    with pytest.raises(BadElement):
        group.add([good], [short_element])
    with pytest.raises(BadElement):
        group.multi_scalar_sum([one], [short_element])
    with pytest.raises(BadElement):
        group.from_uniform([bytes(63)])
    for call in (
        lambda: group.multiply(short_scalar, [good]),
        lambda: group.multiply_each([short_scalar], [good]),
        lambda: group.base_multiply(short_scalar),
        lambda: group.scalar_add(one, short_scalar),
        lambda: group.scalar_invert(short_scalar),
    ):
        with pytest.raises(BadScalar):
            call()


def expand_message_xmd(message: bytes, dst: bytes) -> bytes:
    """RFC 9380 §5.3.1 word for word, for 64 bytes of SHA-512."""
    dst_prime = dst + len(dst).to_bytes(1, "big")
    b_0 = hashlib.sha512(bytes(128) + message + (64).to_bytes(2, "big") + b"\x00" + dst_prime).digest()
    return hashlib.sha512(b_0 + b"\x01" + dst_prime).digest()


@settings(max_examples=25, deadline=None)
@given(st.lists(st.binary(max_size=300), min_size=1, max_size=4), st.binary(max_size=200))
def test_hashing_expands_as_the_standard_says(messages: list[bytes], prefix: bytes) -> None:
    assert group.hash_to_group(messages, DST) == group.from_uniform(
        [expand_message_xmd(message, DST) for message in messages]
    )
    expected = [
        int.from_bytes(expand_message_xmd(prefix + message, DST), "little") % GROUP_ORDER
        for message in messages
    ]
    assert [as_int(item) for item in group.hash_to_scalars(prefix, messages, DST)] == expected
    assert as_int(group.hash_to_scalar(prefix + messages[0], DST)) == expected[0]


@pytest.mark.parametrize("dst", [b"", b"x" * 256])
def test_a_domain_separation_tag_out_of_range_is_refused(dst: bytes) -> None:
    with pytest.raises(ValueError, match="domain separation"):
        group.hash_to_group([b"a"], dst)


def test_scalars_are_masked_however_they_are_shown() -> None:
    secret = group.random_scalar(os.urandom)
    for shown in (
        repr(secret),
        str(secret),
        f"{secret}",
        f"{secret!r}",
        f"{[secret]}",
        f"{secret!a}",
    ):
        assert "Scalar(" in shown
        assert secret.hex() not in shown
        assert repr(bytes(secret)) not in shown


def test_a_missing_library_names_the_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> ctypes.CDLL:
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", refuse)
    monkeypatch.setattr(ctypes.util, "find_library", lambda _: None)
    with pytest.raises(LibsodiumMissing) as caught:
        group._open_library()
    for hint in ("libsodium23", "dnf install libsodium", "apk add libsodium", "brew install libsodium"):
        assert hint in str(caught.value)


class OldLibrary:
    """Answers as libsodium 1.0.17 does: library version 10.2."""

    def sodium_library_version_major(self) -> int:
        return 10

    def sodium_library_version_minor(self) -> int:
        return 2


class LibraryWithoutCurve(OldLibrary):
    def sodium_library_version_minor(self) -> int:
        return 3

    def sodium_init(self) -> int:
        return 0


@pytest.mark.parametrize(
    ("library", "why"), [(OldLibrary(), "10.2"), (LibraryWithoutCurve(), "ristretto255")]
)
def test_an_unusable_library_is_refused(library: object, why: str) -> None:
    with pytest.raises(LibsodiumMissing, match=why):
        group._bind(library)  # type: ignore[arg-type]  # a stand-in for the library


def test_importing_does_not_load_the_library() -> None:
    script = "from tocsin.oprf import group; assert not group._sodium.cache_info().currsize; "
    script += "group.require_libsodium(); assert group._sodium.cache_info().currsize"
    subprocess.run([sys.executable, "-c", script], check=True)
