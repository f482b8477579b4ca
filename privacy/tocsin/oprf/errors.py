"""The root of everything that this package refuses."""

from tocsin.primitives.errors import CoreError


class OprfError(CoreError):
    """An element, scalar, share, quorum, context or proof that is refused; each module defines its own subclasses.

    No message holds an input, a scalar or a share. `culprit()` names the evaluator whose partial does not verify.
    """
