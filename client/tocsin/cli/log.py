"""`tocsin log`: verify the members' logs, and show proofs that one of them forked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from tocsin.cli.options import DEFAULT_CONFIG, Config
from tocsin.cli.output import Json, print_json, print_table, progress, say, utc

if TYPE_CHECKING:
    from tocsin.charter.document import Charter, Member
    from tocsin.client.forks import ProvenFork

app = App(name="log", help="Verify the members' logs, and show proofs that one forked.")


@app.command
def verify(
    *,
    member: Annotated[list[str] | None, Parameter(help="Name or id; all members if not given.")] = None,
    config: Config = DEFAULT_CONFIG,
    json: Json = False,
) -> int:
    """Read your node's whole copy of the logs, and verify the signature, every leaf, the root and that they only grew.

    Example: tocsin log verify --member Borealis

    Exit codes: 0 all verified; 3 unavailable; 5 a log does not verify or has two histories.
    """
    from tocsin.cli.options import connect

    with connect(config) as client:
        chosen = [find_member(client.charter, named) for named in member or []] or list(
            client.charter.members
        )
        reports = []
        for writer in chosen:
            with progress(f"verifying {writer.name}'s log") as advance:
                reports.append(client.verify_log(writer.id, progress=advance))
    if json:
        print_json([log.to_dict() for log in reports])
        return 0
    print_table(
        "Verified logs: signature, every leaf, root, growth",
        (
            "member",
            "entries",
            "sealed",
            ("bodies", "kept"),
            ("retrac-", "tions"),
            "charters",
            "root",
            "log checked",
        ),
        [
            (
                log.writer_name,
                f"{log.size:,}",
                f"{log.sealed:,}",
                f"{log.bodies:,}",
                f"{log.retractions:,}",
                str(log.charters),
                log.root.hex()[:16],
                utc(log.checkpoint_time),
            )
            for log in reports
        ],
    )
    return 0


@app.command(name="forks")
def forks_kept(
    *,
    out: Annotated[
        Path | None,
        Parameter(help="A new folder to write the proofs into, with the charters that they need."),
    ] = None,
    config: Config = DEFAULT_CONFIG,
    json: Json = False,
) -> int:
    """Show the proofs, kept by your node and verified here, that a member signed two histories of its log.

    Anyone who has the federation's pin can verify what --out writes, with `tocsin evidence verify`.

    Example: tocsin log forks --out forks

    Exit codes: 0 shown, or there are none; 3 unavailable; 5 a proof that your node keeps proves nothing.
    """
    from tocsin.cli.options import connect
    from tocsin.client.forks import export_forks

    with connect(config) as client:
        forks = client.forks()
        paths = [] if out is None else export_forks(out, forks, client.charter_chain())
    if json:
        print_json([fork.to_dict() for fork in forks])
        return 0
    if not forks:
        say("no log is known to have forked")
        return 0
    print_table(
        "Verified: these members signed two histories", _FORK_COLUMNS, [_fork_row(fork) for fork in forks]
    )
    for path in paths:
        say(f"written: {path}; verify it with: tocsin evidence verify {path} --pin ...")
    return 0


_FORK_COLUMNS = ("member", "id", "the two checkpoints show", "sizes")


def _fork_row(fork: ProvenFork) -> tuple[str, ...]:
    return fork.writer_name, fork.writer.hex(), fork.how, " and ".join(map(str, fork.sizes))


class NoSuchMember(ValueError):
    """A name or id that no member of the charter has, or that fits several."""


def find_member(charter: Charter, text: str) -> Member:
    """Return the member with a name, an id in hex, or a beginning of one. Raises `NoSuchMember`."""
    fitting = [
        member
        for member in charter.members
        if member.name.casefold() == text.casefold()
        or (len(text) >= 4 and member.id.hex().startswith(text.lower()))
    ]
    if len(fitting) != 1:
        names = ", ".join(f"{member.name} ({member.id.hex()[:8]})" for member in charter.members)
        found = "several members fit" if fitting else "no member fits"
        raise NoSuchMember(f"{found} what was given; members are {names}")
    return fitting[0]
