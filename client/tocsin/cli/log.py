"""`tocsin log`: verify the members' logs, and proofs that one of them forked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from tocsin.cli.options import DEFAULT_CONFIG, Config, Pin, trusted_pin
from tocsin.cli.output import Json, print_json, print_table, progress, say, utc

if TYPE_CHECKING:
    from tocsin.charter.document import Charter, Member
    from tocsin.client.forks import ProvenFork

app = App(name="log", help="Verify the members' logs, and proofs that one forked.")


@app.command
def verify(
    *,
    member: Annotated[list[str] | None, Parameter(help="Name or id; all members if not given.")] = None,
    config: Config = DEFAULT_CONFIG,
    json: Json = False,
) -> int:
    """Read the own node's whole copy of logs and verify signature, every leaf, root, and that they only grew.

    Exit codes: 0 all verified, 3 unavailable, 5 a log does not verify or has two histories.
    """
    from tocsin.cli.options import connect

    with connect(config) as client:
        chosen = [find_member(client.charter, each) for each in member or []] or list(client.charter.members)
        reports = []
        for each in chosen:
            with progress(f"verifying {each.name}'s log") as advance:
                reports.append(client.verify_log(each.id, progress=advance))
    if json:
        print_json([report.to_dict() for report in reports])
        return 0
    print_table(
        "Verified logs: signature, every leaf, root, growth",
        ("member", "entries", "sealed", "bodies kept", "retractions", "charters", "root", "as of"),
        [
            (
                each.writer_name,
                str(each.size),
                str(each.sealed),
                str(each.bodies),
                str(each.retractions),
                str(each.charters),
                each.root.hex()[:16],
                utc(each.checkpoint_time),
            )
            for each in reports
        ],
    )
    return 0


@app.command
def forks(
    *,
    out: Annotated[
        Path | None,
        Parameter(help="A new folder to write the proofs into, with the charters that they need."),
    ] = None,
    config: Config = DEFAULT_CONFIG,
    json: Json = False,
) -> int:
    """Show the proofs that the own node keeps of members that signed two histories of their log, each verified here.

    What --out writes convinces anybody who has the federation's pin, with `tocsin log verify-fork`.

    Exit codes: 0 shown, also where there are none, 3 unavailable, 5 a proof that the own node keeps proves nothing.
    """
    from tocsin.cli.options import connect
    from tocsin.client.forks import export_forks

    with connect(config) as client:
        found = client.forks()
        paths = [] if out is None else export_forks(out, found, client.charter_chain())
    if json:
        print_json([_fork_json(each) for each in found])
        return 0
    if not found:
        say("no log is known to have forked")
        return 0
    print_table("Verified: these members signed two histories", _FORK_COLUMNS, [_fork_row(e) for e in found])
    for path in paths:
        say(f"written: {path}; verify it with: tocsin log verify-fork {path} --pin …")
    return 0


@app.command
def verify_fork(
    file: Annotated[Path, Parameter(help="A .fork file, with the charters beside it.")],
    *,
    pin: Pin = None,
    config: Config = DEFAULT_CONFIG,
    json: Json = False,
) -> int:
    """Verify offline, without a node, that a member signed two histories of its log.

    Exit codes: 0 it did, 2 files or the pin are missing, 5 the file does not prove it.
    """
    from tocsin.client import system
    from tocsin.client.errors import BadEvidence
    from tocsin.client.evidence import read_charters, read_evidence_file
    from tocsin.client.forks import prove_fork

    proof = read_evidence_file(file)
    charters = read_charters(file.parent, trusted_pin(pin, config), system.now())
    try:
        found = prove_fork(proof, charters)
    except BadEvidence as error:
        raise BadEvidence(f"{file}: {error}") from None
    if json:
        print_json(_fork_json(found))
    else:
        print_table("Verified: this member signed two histories", _FORK_COLUMNS, [_fork_row(found)])
    return 0


_FORK_COLUMNS = ("member", "id", "the two checkpoints show", "sizes")


def _fork_row(fork: ProvenFork) -> tuple[str, ...]:
    return fork.writer_name, fork.writer.hex(), fork.how, " and ".join(str(each) for each in fork.sizes)


def _fork_json(fork: ProvenFork) -> dict[str, object]:
    return {
        "writer": fork.writer.hex(),
        "writer_name": fork.writer_name,
        "how": fork.how,
        "sizes": list(fork.sizes),
        "proof": fork.proof.hex(),
    }


class NoSuchMember(ValueError):
    """A name or id that the charter does not have, or that fits several members."""


def find_member(charter: Charter, text: str) -> Member:
    """Return the member with a name, an id in hex, or a beginning of one. Raises `NoSuchMember`."""
    found = [
        each
        for each in charter.members
        if each.name.casefold() == text.casefold()
        or (len(text) >= 4 and each.id.hex().startswith(text.lower()))
    ]
    if len(found) != 1:
        names = ", ".join(f"{each.name} ({each.id.hex()[:8]})" for each in charter.members)
        raise NoSuchMember(f"{len(found)} members fit what was given; members are {names}")
    return found[0]
