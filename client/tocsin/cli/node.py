"""`tocsin node`: run this member's node."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from tocsin.cli.extras import how_to_install

app = App(name="node", help="Run this member's node.")


@app.command
def run(*, config: Annotated[Path, Parameter(name="--config")]) -> int:
    """Run the node until SIGTERM or Ctrl-C; one JSON line on standard output says when it serves.

    Example: tocsin node run --config node/

    Exit codes: 0 stopped on request; 2 bad settings, keys or charter, or a store that is not this node's;
    3 the address or the database is unavailable; 130 interrupted while starting.

    Parameters
    ----------
    config
        The node's settings, node.toml or the folder that holds it. TOCSIN_NODE_* variables override it.
    """
    # The node is an extra and slow to import: other commands must neither need it nor wait for it.
    try:
        from tocsin.node.config import ConfigError, load_config
        from tocsin.node.process import run_node
    except ModuleNotFoundError as error:
        sys.stderr.write(f"tocsin node: {error.name} is not installed; {how_to_install('node')}\n")
        return 2
    try:
        settings = load_config(config)
    except ConfigError as error:
        sys.stderr.write(f"tocsin node: {error}\n")
        return 2
    return run_node(settings)
