"""A node that publishes more than the charter allows, for tests only. Usage: flooding_node.py node.toml"""

from __future__ import annotations

import sys
from pathlib import Path

from tocsin.charter.document import Charter
from tocsin.node.config import load_config
from tocsin.node.model import LogTip
from tocsin.node.process import run_node
from tocsin.node.service.publishing import Publishing


def _anything(self: Publishing, tip: LogTip, charter: Charter, now: int) -> int:
    return 10**9


def main() -> int:
    """Take the log's pace out and run the node."""
    Publishing._allowed = _anything  # type: ignore[method-assign]  # that is the crime
    return run_node(load_config(Path(sys.argv[1])))


if __name__ == "__main__":
    sys.exit(main())
