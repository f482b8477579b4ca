"""The root of every error of the node, so that whoever runs one catches one type.

1. Below it: `ServiceError` (a request is refused), `StoreError` (the database), `ConfigError` (the operator),
   `AtFault` (another member). Errors of the pure core keep their own roots: the node passes them on.
2. An error that ends the process says by its type with which code: `exit_code`.
3. Where another member is at fault, `culprit()` names it.
"""

from __future__ import annotations

from typing import ClassVar

from tocsin.wire.values import MemberId


class NodeError(Exception):
    """The root. The text is one line: what happened, to what, and what to do next."""

    exit_code: ClassVar[int] = 2


class AtFault(NodeError):
    """Another member's node broke a rule, or did not answer."""

    def __init__(self, member: MemberId, message: str) -> None:
        super().__init__(message)
        self.member = member

    def culprit(self) -> MemberId:
        """Return the id of the member at fault."""
        return self.member
