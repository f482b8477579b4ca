"""`tocsin evidence`: export pieces of evidence, and verify them offline."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from tocsin.cli.options import DEFAULT_CONFIG, Config, Pin, trusted_pin
from tocsin.cli.output import Json, print_json, print_table, say, utc

app = App(name="evidence", help="Export and verify pieces of evidence.")


_NOT_THERE = ("OUT_OF_RANGE", "UNKNOWN_LOG")


class BadArguments(ValueError):
    """Arguments that do not go together."""


class NoSuchEntry(ValueError):
    """An index beyond the end of the log as the own node holds it."""


@app.command
def export(
    *,
    out: Annotated[Path, Parameter(help="A new folder for the evidence.")],
    match: Annotated[
        str | None, Parameter(help="writer:index, as `tocsin query` shows it under entry.")
    ] = None,
    writer: Annotated[str | None, Parameter(help="Name or id of the member whose log it is.")] = None,
    index: Annotated[int | None, Parameter(help="Index in that log.")] = None,
    config: Config = DEFAULT_CONFIG,
    json: Json = False,
) -> int:
    """Write an entry, its proof and the charters into a new folder.

    Whoever has the federation's pin verifies it offline. The entry stays sealed. about.json is for a reader's
    convenience: it proves nothing.

    Exit codes: 0 written, 2 bad arguments, or an entry that is erased or not there, 3 unavailable, 5 the node's proof
    fails.
    """
    from tocsin.cli.log import find_member
    from tocsin.cli.options import connect
    from tocsin.client.errors import RefusedByNode
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
        try:
            proof = client.prove(member.id, index)
        except RefusedByNode as error:
            if error.reason not in _NOT_THERE:
                raise
            raise NoSuchEntry(
                f"{member.name}'s log has no entry {index}; `tocsin log verify` shows how many it has"
            ) from None
        export_evidence(
            out,
            proof,
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
    folder: Annotated[Path, Parameter(help="What `tocsin evidence export` wrote.")],
    *,
    pin: Pin = None,
    config: Config = DEFAULT_CONFIG,
    json: Json = False,
) -> int:
    """Verify a folder of evidence offline, without a node.

    about.json is not read: it is a convenience and proves nothing. What is proven is printed.

    Exit codes: 0 it proves that the member published the entry, 2 files or the pin are missing, 5 it does not.
    """
    from tocsin.client import system
    from tocsin.client.evidence import verify_evidence

    found = verify_evidence(folder, trusted_pin(pin, config), system.now())
    if json:
        print_json(found.to_dict())
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
