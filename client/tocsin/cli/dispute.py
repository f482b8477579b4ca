"""`tocsin dispute`: say that reports of your own value are wrong, to everybody who holds it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from tocsin.cli.options import DEFAULT_CONFIG, Config, Inputs
from tocsin.cli.output import Json, counted, print_json, say
from tocsin.cli.usage import BadUsage

if TYPE_CHECKING:
    from tocsin.client import Client

EXIT_INPUT = 2


def dispute(
    value: Inputs,
    *,
    entry: Annotated[
        tuple[str, ...],
        Parameter(help="An entry that is wrong, as `tocsin query` shows it: 1f3a9c27:41. Up to 8."),
    ],
    reason: Annotated[
        str,
        Parameter(help="own-customer-verified, shared-by-many, reassigned, wrong-value or other."),
    ],
    config: Config = DEFAULT_CONFIG,
    json: Json = False,
) -> int:
    """Dispute reports of a value that you hold: everybody who holds it sees that, and the reports weigh less.

    It tells them that you hold it too. At most 100 a day. `tocsin retract` takes it back, with your own reports of the
    value.

    Example: tocsin dispute contact.phone=+15550100 --entry 1f3a9c27:41 --reason reassigned

    Exit codes: 0 done; 2 an entry is no live report of this value, or bad usage; 3 unavailable; 4 the limit of a day or
    the budget is used up; 5 a check failed.
    """
    from tocsin.cli.options import sending
    from tocsin.cli.rows import read_rows
    from tocsin.client.disputing import DisputeDraft

    rows = read_rows((value,), None, None)
    if len(rows.values) != 1:
        raise BadUsage("name one value that can be read, such as contact.phone=+15550100")
    with sending(config) as client:
        entries = [_entry(client, text) for text in entry]
        receipt = client.dispute([DisputeDraft(rows.values[0], reason, entries)])
    if json:
        print_json(receipt.to_dict())
    elif receipt.refused:
        raise receipt.refused[0]
    else:
        say(f"{counted(len(entries), 'entry', 'entries')} disputed; others see it at your node's next tick")
    return EXIT_INPUT if receipt.refused else 0


def _entry(client: Client, text: str) -> tuple[bytes, int]:
    """Read an entry as `tocsin query` prints it: the first digits of its writer's id, and its index."""
    prefix, _, index = text.partition(":")
    members = [
        member for member in client.charter.members if prefix and member.id.hex().startswith(prefix.lower())
    ]
    if len(members) != 1 or not (index.isascii() and index.isdigit()):
        raise BadUsage("--entry must be as `tocsin query` shows it, such as 1f3a9c27:41")
    return members[0].id, int(index)
