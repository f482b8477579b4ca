"""Which Ed25519 signatures hold (SPEC M-1.8), worked out with a curve of this file's own."""

from hashlib import sha512

import pytest

from tocsin.primitives.ed25519 import BadKey, BadSignature, SigningKey, verify_signature

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
Point = tuple[int, int]
SECRET, NONCE = 0xA5A5A5A5A5A5A5A5, 0x5A5A5A5A5A5A
MESSAGE = b"message"


def x_of(y: int) -> int | None:
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if (x * x - square) % P:
        return None
    return x if x % 2 == 0 else P - x


def add(first: Point, second: Point) -> Point:
    (x1, y1), (x2, y2) = first, second
    t = D * x1 * x2 * y1 * y2
    return (x1 * y2 + x2 * y1) * pow(1 + t, -1, P) % P, (y1 * y2 + x1 * x2) * pow(1 - t, -1, P) % P


def times(scalar: int, point: Point) -> Point:
    total = (0, 1)
    while scalar:
        if scalar & 1:
            total = add(total, point)
        point, scalar = add(point, point), scalar >> 1
    return total


def encoded(point: Point) -> bytes:
    return (point[1] | (point[0] & 1) << 255).to_bytes(32, "little")


def order_eight() -> Point:
    for y in range(2, 100):
        x = x_of(y)
        if x is not None and times(4, torsion := times(ORDER, (x, y))) != (0, 1):
            return torsion
    raise AssertionError("no point of order 8 found")


BASE_Y = 4 * pow(5, -1, P) % P
BASE = (x_of(BASE_Y) or 0, BASE_Y)
KEY = times(SECRET, BASE)
NONCE_POINT = times(NONCE, BASE)
TORSION = order_eight()


def made(nonce_point: Point, nonce: int, key: Point = KEY, secret: int = SECRET) -> bytes:
    challenge = int.from_bytes(sha512(encoded(nonce_point) + encoded(key) + MESSAGE).digest(), "little")
    return encoded(nonce_point) + ((nonce + challenge * secret) % ORDER).to_bytes(32, "little")


def test_a_signature_made_by_hand_holds() -> None:
    verify_signature(encoded(KEY), MESSAGE, made(NONCE_POINT, NONCE))


@pytest.mark.parametrize(
    ("key", "signature"),
    [
        # A verifier with the cofactor would accept this one.
        (KEY, made(add(NONCE_POINT, TORSION), NONCE)),
        (TORSION, made(NONCE_POINT, NONCE, TORSION, 0)),
        (KEY, made((0, 1), 0)),
        (KEY, made(TORSION, 0)),
    ],
    ids=["torsion in R", "key of small order", "R the identity", "R of small order"],
)
def test_torsion_is_refused(key: Point, signature: bytes) -> None:
    with pytest.raises(BadSignature):
        verify_signature(encoded(key), MESSAGE, signature)


def test_a_second_encoding_of_s_is_refused() -> None:
    signature = made(NONCE_POINT, NONCE)
    shifted = int.from_bytes(signature[32:], "little") + ORDER
    with pytest.raises(BadSignature):
        verify_signature(encoded(KEY), MESSAGE, signature[:32] + shifted.to_bytes(32, "little"))


def test_a_key_signs_what_verifies_under_its_public_half() -> None:
    key = SigningKey(bytes(range(32)))
    verify_signature(key.public_key, MESSAGE, key.sign(MESSAGE))
    with pytest.raises(BadSignature):
        verify_signature(key.public_key, MESSAGE + b"!", key.sign(MESSAGE))
    for size in (63, 65):
        with pytest.raises(BadSignature):
            verify_signature(key.public_key, MESSAGE, bytes(size))
    with pytest.raises(BadKey):
        verify_signature(bytes(31), MESSAGE, bytes(64))
