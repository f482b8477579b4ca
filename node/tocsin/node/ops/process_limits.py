"""What the operating system lets this process have: descriptors, and no core dump.

1. Each connection is a descriptor. The soft limit is raised to the hard one, up to `MOST_DESCRIPTORS`; what the store,
   the log and the node's own connections need (`RESERVED`) is kept from the server's connections, so that strangers'
   sockets end at the door and not in the store.
2. While more than 8 in 10 descriptors are open, that is logged, once each time it begins.
3. No core is dumped: it would hold every key and share in memory.
"""

from __future__ import annotations

import asyncio
import os
import resource
import sys

import structlog

MOST_DESCRIPTORS = 65_536
RESERVED = 160
LOOK_S = 1.0

_log = structlog.get_logger(__name__)


def set_limits() -> None:
    """Raise the limit of descriptors and forbid core dumps. Call once, before anything secret is read."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MOST_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def descriptors() -> int:
    """Return how many descriptors this process may have open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST_DESCRIPTORS if soft == resource.RLIM_INFINITY else soft


def most_connections() -> int:
    """Return how many connections a server may take (rule 1)."""
    return max(16, descriptors() - RESERVED)


async def watch_descriptors() -> None:
    """Log when descriptors run out (rule 2), until cancelled."""
    folder = "/proc/self/fd" if sys.platform == "linux" else "/dev/fd"
    scarce = False
    while True:
        opened, limit = len(os.listdir(folder)), descriptors()
        if opened > limit * 8 // 10 or opened >= most_connections():
            if not scarce:
                _log.warning("descriptors-scarce", open=opened, limit=limit)
            scarce = True
        elif scarce:
            scarce = False
            _log.info("descriptors-enough", open=opened, limit=limit)
        await asyncio.sleep(LOOK_S)
