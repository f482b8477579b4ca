"""The root of everything that this package refuses."""

from tocsin.primitives.errors import CoreError


class SealingError(CoreError):
    """A pepper, tag, box, label, record or keyring that is refused; each module defines its own subclasses.

    No message holds a secret or a label's content. `culprit()` is None: whose entry it was, only the caller knows.
    """
