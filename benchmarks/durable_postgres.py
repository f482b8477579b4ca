"""The tests' PostgreSQL server with its disk synced, as a server that anybody relies on has it."""

from __future__ import annotations

import sys

from measure import ROOT

sys.path.append(str(ROOT))

from tests.postgres_server import PostgresMissing, PostgresServer

__all__ = ["DurableServer", "PostgresMissing"]


class DurableServer(PostgresServer):
    """Rule 3 of the tests' server turned round: what is committed is on the disk."""

    def start(self) -> None:
        """Start with fsync and full pages on."""
        self._options = self._options.replace("fsync=off", "fsync=on").replace(
            "full_page_writes=off", "full_page_writes=on"
        )
        super().start()
