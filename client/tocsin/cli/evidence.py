"""`tocsin evidence`: export pieces of evidence, and verify them offline."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from tocsin.cli.options import DEFAULT_CONFIG, Config
from tocsin.cli.output import Json, print_json, print_table, say, utc

app = App(name="evidence", help="Export and verify pieces of evidence.")


class BadArguments(ValueError):
    """Arguments that do not go together."""


@app.command
def export(
    *,
    out: Path,
    match: Annotated[
        str | None, Parameter(help="writer:index, as `tocsin query` shows it under entry.")
    ] = None,
    writer: Annotated[str | None, Parameter(help="Name or id of the member whose log it is.")] = None,
    index: Annotated[int | None, Parameter(help="Index in that log.")] = None,
    config: Config = DEFAULT_CONFIG,
    json: Json = False,
) -> int:
    """Write an entry, its proof and the charters into a new folder.

    Whoever has the federation's pin verifies it offline. The entry stays sealed.

    Exit codes: 0 written, 2 bad arguments or an erased entry, 3 unavailable, 5 the node's proof fails.
    """
    from tocsin.cli.log import find_member
    from tocsin.cli.options import connect
    from tocsin.client.evidence import export_evidence

    if match is not None:
        writer, _, digits = match.partition(":")
        index = int(digits) if digits.isascii() and digits.isdigit() else None
    if writer is None or index is None:
        raise BadArguments("say which entry: --match WRITER:INDEX, or --writer and --index")
    if not 0 <= index < 2**63:
        raise BadArguments("--index counts from 0")
    with connect(config) as client:
        member = find_member(client.charter, writer)
        export_evidence(
            out,
            client.prove(member.id, index),
            client.charter_chain(),
            writer=member.id,
            name=member.name,
            index=index,
        )
    if json:
        print_json({"folder": str(out), "writer": member.id, "index": index})
    else:
        say(
            f"entry {index} of {member.name}'s log is in {out}; verify it with: tocsin evidence verify {out} --pin …"
        )
    return 0


@app.command
def verify(
    folder: Path,
    *,
    pin: Annotated[
        str | None, Parameter(help="Hash of charter version 1 in hex; by default from client.toml.")
    ] = None,
    config: Config = DEFAULT_CONFIG,
    json: Json = False,
) -> int:
    """Verify a folder of evidence offline, without a node.

    Exit codes: 0 it proves that the member published the entry, 2 files or the pin are missing, 5 it does not.
    """
    from tocsin.client import system
    from tocsin.client.config import load_config
    from tocsin.client.evidence import verify_evidence

    if pin is not None:
        try:
            trusted = bytes.fromhex(pin)
        except ValueError:
            trusted = b""
        if len(trusted) != 32:
            raise BadArguments("--pin is 32 bytes in hex")
    else:
        trusted = load_config(config).charter_pin
    found = verify_evidence(folder, trusted, system.now())
    if json:
        print_json({name: getattr(found, name) for name in found.__dataclass_fields__})
        return 0
    print_table(
        "Verified: the member published this entry",
        ("what", "value"),
        [
            ("federation", found.federation),
            ("member", f"{found.writer_name} ({found.writer.hex()})"),
            ("entry", f"{found.index} of {found.tree_size}"),
            ("kind", found.kind),
            ("class, epoch, period", f"{found.key_class}, {found.epoch}, {found.period}"),
            ("checkpoint of", utc(found.checkpoint_time)),
            ("charter version", str(found.charter_version)),
        ],
    )
    return 0
