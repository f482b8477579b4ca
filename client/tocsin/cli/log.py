"""`tocsin log`: verify the members' logs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from tocsin.cli.options import DEFAULT_CONFIG, Config
from tocsin.cli.output import Json, print_json, print_table, progress, utc

if TYPE_CHECKING:
    from tocsin.charter.document import Charter, Member

app = App(name="log", help="Verify the members' logs.")


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
        print_json([{name: getattr(each, name) for name in each.__dataclass_fields__} for each in reports])
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
