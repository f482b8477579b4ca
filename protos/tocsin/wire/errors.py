"""What goes wrong on the wire itself.

`Malformed` is raised by the codec alone, for a request and for an answer. Who receives it maps it: a node's server to a
refusal with its reason, a client to a misbehaving node, a node that asked another to a misbehaving peer.
"""

from __future__ import annotations

from tocsin.wire.reasons import Reason


class Malformed(Exception):
    """A message that no rule allows. `field` names the culprit as the wire spells it, as in `entries[7].header`.

    It is None where the whole message is at fault.

    The message holds no value, tag or element.
    """

    def __init__(self, message: str, field: str | None, reason: Reason = Reason.INVALID_REQUEST) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.reason = reason
