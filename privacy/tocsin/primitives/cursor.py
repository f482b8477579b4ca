"""Reads a binary structure from the front, field by field.

1. A field that ends early is an error that names the field; nothing is padded and nothing is guessed.
2. Integers are big-endian (M-1.1). A field is of fixed width or stands behind its length (M-1.2).
3. Whoever parses a whole structure calls `end`, which refuses bytes that follow it (M-1.6).
"""

from collections.abc import Callable


class Cursor:
    """A place in some bytes. `refuse` makes the error to raise from the name of a field and the rule it breaks."""

    __slots__ = ("_at", "_data", "_refuse")

    def __init__(self, data: bytes, refuse: Callable[[str, str], Exception]) -> None:
        self._data = bytes(data)
        self._at = 0
        self._refuse = refuse

    def take(self, field: str, size: int) -> bytes:
        """Return the next `size` bytes."""
        piece = self._data[self._at : self._at + size]
        if len(piece) != size:
            raise self._refuse(field, f"{size} bytes expected at byte {self._at}, {len(piece)} left")
        self._at += size
        return piece

    def number(self, field: str, size: int) -> int:
        """Return an unsigned integer of `size` bytes (M-1.1)."""
        return int.from_bytes(self.take(field, size), "big")

    def count(self, field: str, size: int, most: int) -> int:
        """Return a count or a length of `size` bytes that is at most `most`, before anything of it is read."""
        count = self.number(field, size)
        if count > most:
            raise self._refuse(field, f"at most {most} allowed, got {count}")
        return count

    def prefixed(self, field: str, size: int, most: int) -> bytes:
        """Return the bytes behind their length (M-1.2), which has `size` bytes and is at most `most`."""
        return self.take(field, self.count(field, size, most))

    def expect(self, field: str, constant: bytes) -> None:
        """Read bytes that must be exactly these."""
        if self._data[self._at : self._at + len(constant)] != constant:
            raise self._refuse(field, f"must be {constant!r}")
        self._at += len(constant)

    def rest(self) -> bytes:
        """Return everything that is left."""
        return self.take("rest", len(self._data) - self._at)

    def end(self) -> None:
        """Refuse bytes that follow (M-1.6)."""
        if self._at != len(self._data):
            raise self._refuse(
                "length", f"{len(self._data) - self._at} bytes follow the end at byte {self._at}"
            )
