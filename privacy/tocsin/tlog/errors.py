"""The root of everything that this package refuses."""

from tocsin.primitives.errors import CoreError


class TlogError(CoreError):
    """Bytes or claims that are not what they must be; each module defines its own subclasses.

    A message names what was checked, where it failed and by which rule, and carries none of the bytes. `culprit()` is
    None: whether the log or whoever relayed it is at fault, only the caller knows.
    """
