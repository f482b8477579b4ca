"""A node that will sign a second history, for tests only: the product has no switch that makes it do so.

It is the product's node without the comparison of its own log with what peers hold (SPEC.md §6), so that two copies of
one member's folder go on separately. Usage: forking_node.py node.toml
"""

from __future__ import annotations

import sys
from pathlib import Path

from tocsin.node.config import load_config
from tocsin.node.process import run_node
from tocsin.node.service.own_history import OwnHistory
from tocsin.wire.values import MemberId


async def _compare_with_nobody(self: OwnHistory) -> None:
    """Ask no peer."""


async def _see_nothing(self: OwnHistory, peer: MemberId, note: bytes) -> None:
    """Ignore what a peer holds."""


def main() -> int:
    """Take the comparison out and run the node."""
    OwnHistory.compare = _compare_with_nobody  # type: ignore[method-assign]  # that is the crime
    OwnHistory.seen_at_peer = _see_nothing  # type: ignore[method-assign]  # that is the crime
    return run_node(load_config(Path(sys.argv[1])))


if __name__ == "__main__":
    sys.exit(main())
