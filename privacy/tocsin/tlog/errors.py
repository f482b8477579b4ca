"""The one root of everything that this package refuses.

Every error is raised about bytes or claims of another party, and none carries those bytes: a message names
what was checked, where it failed, and by which rule.
"""


class TlogError(ValueError):
    """What another party handed over is not what it must be; each module defines its own subclasses."""
