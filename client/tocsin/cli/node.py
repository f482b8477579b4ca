"""`tocsin node`: run this member's node, export the proofs that it keeps, bring it back after a wrong clock."""

from __future__ import annotations

import sys
from pathlib import Path
from textwrap import wrap
from typing import Annotated

from cyclopts import App, Parameter

from tocsin.cli.extras import how_to_install
from tocsin.cli.output import Json, print_json, print_table, say, utc
from tocsin.client.system import now

app = App(name="node", help="Run this member's node, and export the proofs that it keeps.")


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
        return _not_installed(error)
    try:
        settings = load_config(config)
    except ConfigError as error:
        sys.stderr.write(f"tocsin node: {error}\n")
        return 2
    return run_node(settings)


@app.command(name="reset-clock")
def reset_clock(
    *,
    config: Annotated[Path, Parameter(help="The node's settings, node.toml or the folder that holds it.")],
) -> int:
    """Let a stopped node that signed with a clock far ahead sign again, by the clock as it is now.

    Correct the clock first. Other members have accepted nothing that was dated more than 10 minutes ahead, so the node
    signs its newest tree again at its next tick, and they follow it.

    Example: tocsin node reset-clock --config node/

    Exit codes: 0 reset; 2 nothing to reset, bad settings, or a store that is in use or not this node's;
    3 the database is unavailable.
    """
    try:
        from tocsin.node.config import load_config
        from tocsin.node.errors import NodeError
        from tocsin.node.ops.clock_reset import reset_clock as reset
        from tocsin.node.storage.open import open_store
    except ModuleNotFoundError as error:
        return _not_installed(error)
    try:
        settings = load_config(config)
        store = open_store(settings.database_url, settings.federation, settings.member_id)
        try:
            ahead = reset(store, now())
        finally:
            store.close()
    except NodeError as error:
        sys.stderr.write(f"tocsin node: {error}\n")
        return error.exit_code
    say(f"the database was {ahead:,} s ahead and goes by this clock again; start the node")
    return 0


@app.command
def evidence(
    *,
    config: Annotated[Path, Parameter(help="The node's settings, node.toml or the folder that holds it.")],
    out: Annotated[
        Path | None,
        Parameter(help="A new folder to write the proofs into, with the charters that they need."),
    ] = None,
    json: Json = False,
) -> int:
    """Show the proofs in your node's database, verified here: forks, bad partial evaluations, two charters.

    The node may run meanwhile; nothing is written to its database. Anyone who has the federation's pin can verify what
    --out writes, with `tocsin evidence verify`.

    Example: tocsin node evidence --config node/ --out proofs

    Exit codes: 0 shown, or there are none; 2 bad settings, or a folder that is not empty; 3 the database is
    unavailable; 5 a proof that your node keeps proves nothing.
    """
    try:
        from tocsin.node.config import load_config
        from tocsin.node.errors import NodeError
        from tocsin.node.storage.inspection import read_evidence
    except ModuleNotFoundError as error:
        return _not_installed(error)
    from tocsin.client import system
    from tocsin.client.evidence import finding_dict, verify_kept, write_files
    from tocsin.client.timestamps import iso_time

    try:
        settings = load_config(config)
        kept = read_evidence(settings.database_url, settings.federation, settings.member_id)
    except NodeError as error:
        sys.stderr.write(f"tocsin node: {error}\n")
        return error.exit_code
    proofs = {f"{record.no}.{record.kind}": record.proof for record in kept.proofs}
    findings = (
        verify_kept(proofs, kept.charters, bytes.fromhex(settings.charter_pin), system.now())
        if proofs
        else []
    )
    paths = write_files(out, proofs, kept.charters) if out is not None and proofs else []
    if json:
        print_json(
            [
                {"file": name, "recorded": iso_time(record.time), **finding_dict(finding)}
                for name, record, finding in zip(proofs, kept.proofs, findings, strict=True)
            ]
        )
        return 0
    if not proofs:
        say("your node keeps no proof against anybody")
        return 0
    print_table(
        "Verified: proofs that your node keeps",
        ("file", "recorded", "what it proves"),
        [
            (name, utc(record.time), tuple(wrap(finding.statement, 48)))
            for name, record, finding in zip(proofs, kept.proofs, findings, strict=True)
        ],
    )
    for path in paths:
        say(f"written: {path}; verify it with: tocsin evidence verify {path} --pin ...")
    return 0


def _not_installed(error: ModuleNotFoundError) -> int:
    sys.stderr.write(f"tocsin node: {error.name} is not installed; {how_to_install('node')}\n")
    return 2
