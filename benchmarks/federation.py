"""Real federations for benchmarks: founded as a person founds them, real node processes on loopback.

What is measured is a node process as `tocsin node run` starts it; only its tick and its budgets are chosen.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tocsin.indicators.registry import KeyClass
from tocsin.localnet.credentials import charter_of, credentials_to, identity_of
from tocsin.localnet.federation import Federation, Home, Nodes, found

__all__ = [
    "PLENTY",
    "Federation",
    "charter_of",
    "credentials_to",
    "founded",
    "identity_of",
    "running",
    "running_in",
]

PLENTY = dict.fromkeys(KeyClass, 1_000_000_000)
"""A budget that no benchmark uses up."""


@contextmanager
def founded(members: int, *, threshold: int, tick_seconds: int) -> Iterator[list[Home]]:
    """Found a federation in a temporary folder, with nobody running yet. The committee is up to three members."""
    with tempfile.TemporaryDirectory(prefix="tocsin-bench-") as folder:
        yield found(
            Path(folder),
            members,
            committee=min(3, members),
            threshold=threshold,
            tick_seconds=tick_seconds,
            budgets=PLENTY,
        )


@contextmanager
def running(
    members: int, *, threshold: int, tick_seconds: int, nodes: int | None = None
) -> Iterator[Federation]:
    """Found a federation and run the nodes of its first members (all unless `nodes` says how many)."""
    with (
        founded(members, threshold=threshold, tick_seconds=tick_seconds) as homes,
        Nodes(homes[:nodes]) as started,
    ):
        yield Federation(homes, started)


@contextmanager
def running_in(homes: Sequence[Home]) -> Iterator[Federation]:
    """Run the nodes of members that were founded before."""
    with Nodes(homes) as started:
        yield Federation(homes, started)


# Members' folders lie in the temporary folder; a benchmark must not follow a caller's own settings.
for _name in [name for name in os.environ if name.startswith(("TOCSIN_NODE_", "TOCSIN_CLIENT_"))]:
    del os.environ[_name]
