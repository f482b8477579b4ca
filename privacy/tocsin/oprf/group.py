"""The ristretto255 group (RFC 9496) and its scalars, in batches, through the system's libsodium.

1. This module is the only one that talks to libsodium. It is loaded at the first call, never at import;
   a missing or too old library raises `LibsodiumMissing`, which names the package to install.
2. Bytes become an `Element` or a `Scalar` only here, by decoding or by computing. Whoever holds one may
   rely on it: an `Element` is canonical and never the identity, a decoded `Scalar` is canonical and never 0.
3. libsodium calls the encoding of the identity valid. It is refused at every way in and every way out.
4. Every operation takes a whole batch: one contiguous buffer in, one out, a pointer moved along both.
   Each library call releases the interpreter lock, so callers gain from a second thread.
5. Secret scalars never become Python integers and never show in a `repr`. Buffers that held them are wiped.
6. Hashing follows RFC 9380: expand_message_xmd with SHA-512, 64 uniform bytes for an element or a scalar.
"""

import ctypes
import ctypes.util
import functools
import hashlib
import hmac
import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from tocsin.oprf.errors import OprfError
from tocsin.primitives.secret import SecretBytes

ELEMENT_BYTES = 32
SCALAR_BYTES = 32
UNIFORM_BYTES = 64
"""What RFC 9497's suite asks of expand_message for one element or one scalar."""
GROUP_ORDER = 2**252 + 27742317777372353535851937790883648493
"""The number of elements of the group, for arithmetic on public integers such as seats."""

Random = Callable[[int], bytes]
"""A source of randomness: given n, returns n fresh uniform bytes."""

_IDENTITY = bytes(ELEMENT_BYTES)
_ZERO = bytes(SCALAR_BYTES)
_SONAMES = ("libsodium.so.23", "libsodium.so.26", "libsodium.dylib", "libsodium.so")
_HOMEBREW = ("/opt/homebrew/lib/libsodium.dylib", "/usr/local/lib/libsodium.dylib")
# libsodium 1.0.18 announces itself as library version 10.3.
_OLDEST_VERSION = (10, 3)
_SHA512_BLOCK = bytes(128)


class LibsodiumMissing(RuntimeError):
    """The system has no libsodium ≥ 1.0.18 with ristretto255; the message names the package to install."""

    def __init__(self, found: str) -> None:
        super().__init__(
            f"libsodium 1.0.18 or newer is needed for ristretto255, but {found}. Install it: "
            "Debian/Ubuntu `apt-get install libsodium23`; Fedora `dnf install libsodium`; "
            "Alpine `apk add libsodium`; macOS with Homebrew `brew install libsodium`."
        )


class BadElement(OprfError):
    """An encoding, or a result, that is not a usable group element.

    `index` is its place in the batch, from 0; `rule` is "length", "non-canonical" or "identity".
    """

    def __init__(self, index: int, rule: str) -> None:
        self.index = index
        self.rule = rule
        wanted = {
            "length": f"an element is exactly {ELEMENT_BYTES} bytes",
            "non-canonical": "it is not the canonical encoding of a ristretto255 element (RFC 9496 §4.3.1)",
            "identity": "the identity element is never used",
        }[rule]
        super().__init__(f"element {index} of the batch is refused ({rule}): {wanted}")


class BadScalar(OprfError):
    """A scalar of the wrong length, not below the group's order, or zero; the message never shows it."""


class BatchMismatch(OprfError):
    """Two lists that belong together, element by element, differ in length."""

    def __init__(self, what: str, first: int, second: int) -> None:
        super().__init__(f"{what} must have the same number of items, but have {first} and {second}")


class Element(bytes):
    """A ristretto255 element: 32 canonical bytes (RFC 9496 §4.3), never the identity."""

    __slots__ = ()


class Scalar(SecretBytes):
    """A scalar modulo the group's order: 32 canonical little-endian bytes, masked when shown."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class _Sodium:
    is_valid_point: Callable[[int], int]
    from_hash: Callable[[int, int], int]
    scalarmult: Callable[[int, int, int], int]
    scalarmult_base: Callable[[int, int], int]
    add: Callable[[int, int, int], int]
    scalar_reduce: Callable[[int, int], object]
    scalar_add: Callable[[int, int, int], object]
    scalar_sub: Callable[[int, int, int], object]
    scalar_mul: Callable[[int, int, int], object]
    scalar_invert: Callable[[int, int], int]
    memzero: Callable[[int, int], object]


def _open_library() -> ctypes.CDLL:
    # The usual names first: find_library starts a compiler or ldconfig, which would be felt at start-up.
    for name in (*_SONAMES, *_HOMEBREW):
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    name_found = ctypes.util.find_library("sodium")
    if name_found is None:
        raise LibsodiumMissing("this system has none")
    try:
        return ctypes.CDLL(name_found)
    except OSError as error:
        raise LibsodiumMissing(f"{name_found} cannot be loaded") from error


def _bind(library: ctypes.CDLL) -> _Sodium:
    try:
        version = (library.sodium_library_version_major(), library.sodium_library_version_minor())
        if version < _OLDEST_VERSION:
            raise LibsodiumMissing(
                f"the one found has library version {version[0]}.{version[1]}, before 10.3"
            )
        if library.sodium_init() < 0:
            raise LibsodiumMissing("the one found cannot initialise itself (no source of randomness?)")

        def function(name: str, arguments: int, result: object = ctypes.c_int) -> Callable[..., int]:
            bound = getattr(library, name)
            bound.argtypes = [ctypes.c_void_p] * arguments
            bound.restype = result
            return bound  # type: ignore[no-any-return]  # ctypes functions are untyped

        core = "crypto_core_ristretto255_"
        bound_memzero = library.sodium_memzero
        bound_memzero.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
        bound_memzero.restype = None
        return _Sodium(
            is_valid_point=function(core + "is_valid_point", 1),
            from_hash=function(core + "from_hash", 2),
            scalarmult=function("crypto_scalarmult_ristretto255", 3),
            scalarmult_base=function("crypto_scalarmult_ristretto255_base", 2),
            add=function(core + "add", 3),
            scalar_reduce=function(core + "scalar_reduce", 2, None),
            scalar_add=function(core + "scalar_add", 3, None),
            scalar_sub=function(core + "scalar_sub", 3, None),
            scalar_mul=function(core + "scalar_mul", 3, None),
            scalar_invert=function(core + "scalar_invert", 2),
            memzero=bound_memzero,
        )
    except AttributeError as error:
        raise LibsodiumMissing("the one found was built without ristretto255") from error


@functools.cache
def _sodium() -> _Sodium:
    return _bind(_open_library())


def require_libsodium() -> None:
    """Load the library now rather than at the first use. Raises `LibsodiumMissing`."""
    _sodium()


def _address(data: bytes) -> int:
    # The caller keeps `data` alive while it uses the address.
    return ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p).value or 0


def _scalar_address(scalar: Scalar) -> int:
    # The library reads 32 bytes from there, whatever a caller wrapped in the type.
    if len(scalar) != SCALAR_BYTES:
        raise BadScalar(f"a scalar is exactly {SCALAR_BYTES} bytes, but this one has {len(scalar)}")
    return _address(scalar)


def _join(elements: Sequence[Element]) -> bytes:
    joined = b"".join(elements)
    if len(joined) != len(elements) * ELEMENT_BYTES:
        raise BadElement(next(i for i, item in enumerate(elements) if len(item) != ELEMENT_BYTES), "length")
    return joined


def _buffer(size: int) -> tuple["ctypes.Array[ctypes.c_char]", int]:
    buffer = ctypes.create_string_buffer(max(size, 1))
    return buffer, ctypes.addressof(buffer)


def _secret_copy(scalars: Sequence[Scalar]) -> tuple["ctypes.Array[ctypes.c_char]", int]:
    # A contiguous copy that can be wiped, unlike the immutable result of b"".join.
    joined = bytearray().join(scalars)
    if len(joined) != len(scalars) * SCALAR_BYTES:
        raise BadScalar(f"one of {len(scalars)} scalars is not {SCALAR_BYTES} bytes")
    buffer = (ctypes.c_char * max(len(joined), 1)).from_buffer(joined or bytearray(1))
    return buffer, ctypes.addressof(buffer)


def _split(raw: bytes, size: int) -> list[Element]:
    return [Element(raw[at : at + ELEMENT_BYTES]) for at in range(0, size, ELEMENT_BYTES)]


def decode_elements(raw: Sequence[bytes]) -> list[Element]:
    """Decode a batch of 32-byte encodings, in order (RFC 9496 §4.3.1).

    Raises `BadElement` naming the first culprit: lengths are checked before any curve work.
    """
    for index, item in enumerate(raw):
        if len(item) != ELEMENT_BYTES:
            raise BadElement(index, "length")
    joined = b"".join(raw)
    valid = _sodium().is_valid_point
    at = _address(joined)
    elements = []
    for index, item in enumerate(raw):
        # M-4.3: the identity, too, which libsodium calls valid.
        if item == _IDENTITY:
            raise BadElement(index, "identity")
        # libsodium 1.0.18 does not look at the highest bit: every element would have two encodings, the identity too.
        if item[31] & 0x80 or valid(at) != 1:
            raise BadElement(index, "non-canonical")
        at += ELEMENT_BYTES
        elements.append(Element(item))
    return elements


def decode_scalar(raw: bytes) -> Scalar:
    """Decode 32 little-endian bytes. Raises `BadScalar` for another length, a value ≥ the order, and 0."""
    if len(raw) != SCALAR_BYTES:
        raise BadScalar(f"a scalar is exactly {SCALAR_BYTES} bytes, but this one has {len(raw)}")
    if not hmac.compare_digest(_reduce(raw + _ZERO), raw):
        raise BadScalar("the scalar is not below the group's order (RFC 9496 §4.4)")
    return _nonzero(Scalar(raw))


def random_scalar(random: Random) -> Scalar:
    """Draw a uniform non-zero scalar from 64 random bytes, reduced (RFC 9497 §4.1 RandomScalar)."""
    return _nonzero(_reduce(random(UNIFORM_BYTES)))


def scalar_of(number: int) -> Scalar:
    """Make the scalar of a public integer, reduced modulo the group's order; never for a secret."""
    return Scalar((number % GROUP_ORDER).to_bytes(SCALAR_BYTES, "little"))


def _nonzero(scalar: Scalar) -> Scalar:
    if hmac.compare_digest(scalar, _ZERO):
        raise BadScalar("the scalar is zero, which is never used as a key, a blind or a weight")
    return scalar


def _reduce(wide: bytes) -> Scalar:
    if len(wide) != UNIFORM_BYTES:
        raise BadScalar(f"{UNIFORM_BYTES} bytes are reduced to a scalar, but {len(wide)} were given")
    out, out_at = _buffer(SCALAR_BYTES)
    sodium = _sodium()
    sodium.scalar_reduce(out_at, _address(wide))
    result = Scalar(out.raw)
    sodium.memzero(out_at, SCALAR_BYTES)
    return result


def _scalar_operation(operation: Callable[[int, int, int], object], a: Scalar, b: Scalar) -> Scalar:
    out, out_at = _buffer(SCALAR_BYTES)
    operation(out_at, _scalar_address(a), _scalar_address(b))
    result = Scalar(out.raw)
    _sodium().memzero(out_at, SCALAR_BYTES)
    return result


def scalar_add(a: Scalar, b: Scalar) -> Scalar:
    """Return a + b modulo the order; the result may be zero."""
    return _scalar_operation(_sodium().scalar_add, a, b)


def scalar_sub(a: Scalar, b: Scalar) -> Scalar:
    """Return a − b modulo the order; the result may be zero."""
    return _scalar_operation(_sodium().scalar_sub, a, b)


def scalar_mul(a: Scalar, b: Scalar) -> Scalar:
    """Return a · b modulo the order; zero only if a factor is."""
    return _scalar_operation(_sodium().scalar_mul, a, b)


def scalar_invert(a: Scalar) -> Scalar:
    """Return 1/a modulo the order. Raises `BadScalar` for zero."""
    return scalar_invert_each([a])[0]


def scalar_invert_each(scalars: Sequence[Scalar]) -> list[Scalar]:
    """Return the inverse of each scalar, for the price of one inversion and three products a scalar.

    Raises `BadScalar` if one is zero, without saying which.
    """
    # Montgomery's trick: the inverse of the product of all, peeled off one factor at a time.
    if not scalars:
        return []
    sodium, count, size = _sodium(), len(scalars), len(scalars) * SCALAR_BYTES
    given, given_at = _secret_copy(scalars)
    products, products_at = _buffer(size)
    out, out_at = _buffer(size)
    rest, rest_at = _buffer(SCALAR_BYTES)
    try:
        ctypes.memmove(products_at, given_at, SCALAR_BYTES)
        for offset in range(SCALAR_BYTES, size, SCALAR_BYTES):
            sodium.scalar_mul(products_at + offset, products_at + offset - SCALAR_BYTES, given_at + offset)
        if sodium.scalar_invert(rest_at, products_at + size - SCALAR_BYTES) != 0:
            raise BadScalar(f"one of {count} scalars is zero and has no inverse")
        for offset in range(size - SCALAR_BYTES, 0, -SCALAR_BYTES):
            sodium.scalar_mul(out_at + offset, rest_at, products_at + offset - SCALAR_BYTES)
            sodium.scalar_mul(rest_at, rest_at, given_at + offset)
        ctypes.memmove(out_at, rest_at, SCALAR_BYTES)
        raw = out.raw
        return [Scalar(raw[at : at + SCALAR_BYTES]) for at in range(0, size, SCALAR_BYTES)]
    finally:
        for buffer, at in ((given, given_at), (products, products_at), (out, out_at), (rest, rest_at)):
            sodium.memzero(at, len(buffer))


def base_multiply(scalar: Scalar) -> Element:
    """Multiply the generator by a scalar, in constant time. Raises `BadScalar` for zero."""
    out, out_at = _buffer(ELEMENT_BYTES)
    if _sodium().scalarmult_base(out_at, _scalar_address(scalar)) != 0:
        raise BadScalar("the generator was multiplied by zero")
    return Element(out.raw)


def multiply(scalar: Scalar, elements: Sequence[Element]) -> list[Element]:
    """Multiply every element by one scalar, in constant time; the order is kept.

    Raises `BadElement` with the index where a product is the identity.
    """
    scalarmult, size = _sodium().scalarmult, len(elements) * ELEMENT_BYTES
    given = _join(elements)
    given_at, scalar_at = _address(given), _scalar_address(scalar)
    out, out_at = _buffer(size)
    for offset in range(0, size, ELEMENT_BYTES):
        if scalarmult(out_at + offset, scalar_at, given_at + offset) != 0:
            raise BadElement(offset // ELEMENT_BYTES, "identity")
    return _split(out.raw, size)


def multiply_each(scalars: Sequence[Scalar], elements: Sequence[Element]) -> list[Element]:
    """Multiply each element by the scalar at its place, in constant time.

    Raises `BatchMismatch`, and `BadElement` with the index where a product is the identity.
    """
    if len(scalars) != len(elements):
        raise BatchMismatch("scalars and elements", len(scalars), len(elements))
    sodium, size = _sodium(), len(elements) * ELEMENT_BYTES
    scalarmult = sodium.scalarmult
    given = _join(elements)
    given_at = _address(given)
    secrets, secrets_at = _secret_copy(scalars)
    out, out_at = _buffer(size)
    try:
        for offset in range(0, size, ELEMENT_BYTES):
            if scalarmult(out_at + offset, secrets_at + offset, given_at + offset) != 0:
                raise BadElement(offset // ELEMENT_BYTES, "identity")
    finally:
        sodium.memzero(secrets_at, len(secrets))
    return _split(out.raw, size)


def add(a: Sequence[Element], b: Sequence[Element]) -> list[Element]:
    """Add two batches place by place.

    Raises `BatchMismatch`, and `BadElement` with the index where a sum is the identity.
    """
    if len(a) != len(b):
        raise BatchMismatch("two batches of elements", len(a), len(b))
    addition, size = _sodium().add, len(a) * ELEMENT_BYTES
    first, second = _join(a), _join(b)
    first_at, second_at = _address(first), _address(second)
    out, out_at = _buffer(size)
    for offset in range(0, size, ELEMENT_BYTES):
        if addition(out_at + offset, first_at + offset, second_at + offset) != 0:
            raise BadElement(offset // ELEMENT_BYTES, "non-canonical")
    sums = _split(out.raw, size)
    if _IDENTITY in sums:
        raise BadElement(sums.index(Element(_IDENTITY)), "identity")
    return sums


def multi_scalar_sum(scalars: Sequence[Scalar], elements: Sequence[Element]) -> Element:
    """Return the sum of each element times the scalar at its place; at least one pair is needed.

    Raises `BatchMismatch`, and `BadElement` where a product (its index) or the sum (index 0) is the identity.
    """
    if len(scalars) != len(elements) or not elements:
        raise BatchMismatch("scalars and elements (at least one of each)", len(scalars), len(elements))
    sodium, size = _sodium(), len(elements) * ELEMENT_BYTES
    scalarmult, addition = sodium.scalarmult, sodium.add
    given = _join(elements)
    given_at = _address(given)
    weights, weights_at = _secret_copy(scalars)
    _product, product_at = _buffer(ELEMENT_BYTES)
    total, total_at = _buffer(ELEMENT_BYTES)
    # The identity encodes as zeros, so the fresh buffer is already the empty sum.
    for offset in range(0, size, ELEMENT_BYTES):
        if scalarmult(product_at, weights_at + offset, given_at + offset) != 0:
            raise BadElement(offset // ELEMENT_BYTES, "identity")
        if addition(total_at, total_at, product_at) != 0:
            raise BadElement(offset // ELEMENT_BYTES, "non-canonical")
    sodium.memzero(weights_at, len(weights))
    if total.raw == _IDENTITY:
        raise BadElement(0, "identity")
    return Element(total.raw)


def _expansion_ending(dst: bytes) -> bytes:
    if not 0 < len(dst) <= 255:
        raise ValueError(f"a domain separation tag has 1 to 255 bytes (RFC 9380 §5.3.3), this one {len(dst)}")
    return dst + bytes([len(dst)])


def _expand(prefix: bytes, messages: Iterable[bytes], dst: bytes) -> list[bytes]:
    # expand_message_xmd (RFC 9380 §5.3.1) for 64 bytes of SHA-512, so ell = 1 and only b_0 and b_1 exist.
    ending = _expansion_ending(dst)
    first_ending = struct.pack(">HB", UNIFORM_BYTES, 0) + ending
    second_ending = b"\x01" + ending
    # Every message starts with the zero block and the prefix: hashed once, then copied.
    start = hashlib.sha512(_SHA512_BLOCK + prefix)
    sha512 = hashlib.sha512
    expanded = []
    for message in messages:
        state = start.copy()
        state.update(message + first_ending)
        expanded.append(sha512(state.digest() + second_ending).digest())
    return expanded


def from_uniform(uniform: Sequence[bytes]) -> list[Element]:
    """Map each 64 uniform bytes to an element (RFC 9496 §4.3.4).

    Raises `BadElement` for another length or where the element is the identity.
    """
    for index, item in enumerate(uniform):
        if len(item) != UNIFORM_BYTES:
            raise BadElement(index, "length")
    from_hash, size = _sodium().from_hash, len(uniform) * ELEMENT_BYTES
    given = b"".join(uniform)
    given_at = _address(given)
    out, out_at = _buffer(size)
    for offset in range(0, size, ELEMENT_BYTES):
        from_hash(out_at + offset, given_at + 2 * offset)
    elements = _split(out.raw, size)
    if _IDENTITY in elements:
        raise BadElement(elements.index(Element(_IDENTITY)), "identity")
    return elements


def hash_to_group(messages: Sequence[bytes], dst: bytes) -> list[Element]:
    """Hash each message to an element under a domain separation tag (RFC 9380 appendix B, ristretto255)."""
    return from_uniform(_expand(b"", messages, dst))


def hash_to_scalar(message: bytes, dst: bytes) -> Scalar:
    """Hash a message to a scalar under a domain separation tag (RFC 9497 §4.1); zero raises `BadScalar`."""
    return _nonzero(_reduce(_expand(b"", [message], dst)[0]))


def hash_to_scalars(prefix: bytes, suffixes: Iterable[bytes], dst: bytes) -> list[Scalar]:
    """Hash `prefix ‖ suffix` to a scalar for every suffix; the prefix is hashed once. For public weights."""
    expanded = _expand(prefix, suffixes, dst)
    reduce, size = _sodium().scalar_reduce, len(expanded) * SCALAR_BYTES
    given = b"".join(expanded)
    given_at = _address(given)
    out, out_at = _buffer(size)
    for offset in range(0, size, SCALAR_BYTES):
        reduce(out_at + offset, given_at + 2 * offset)
    raw = out.raw
    return [Scalar(raw[at : at + SCALAR_BYTES]) for at in range(0, size, SCALAR_BYTES)]
