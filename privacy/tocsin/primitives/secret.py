"""Bytes that must not be shown."""


class SecretBytes(bytes):
    """Secret bytes: `repr` and `str` show the name of the type and nothing of the content (M-2.2)."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(…)"

    __str__ = __repr__
