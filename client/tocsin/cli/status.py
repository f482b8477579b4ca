"""`tocsin status` and `tocsin budget`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tocsin.cli.options import DEFAULT_CONFIG, Config
from tocsin.cli.output import Json, print_json, print_table, utc, warn

if TYPE_CHECKING:
    from tocsin.client.results import ClientStatus

EXIT_FAILED = 1


def status(*, config: Config = DEFAULT_CONFIG, json: Json = False) -> int:
    """Show the state of your client and node: charter, outbox, and every log that the node follows.

    Example: tocsin status --json

    Exit codes: 0 well; 1 a log is quarantined or cannot be followed; 3 unavailable.
    """
    from tocsin.cli.options import connect

    with connect(config) as client:
        state = client.status()
    unwell = [log.writer_name for log in state.logs if log.quarantined or log.problem]
    if json:
        print_json(state.to_dict())
        return EXIT_FAILED if unwell else 0
    print_table(
        f"{state.member_name} in {state.federation}",
        ("field", "value"),
        [
            ("member", state.member.hex()),
            ("charter", f"version {state.charter_version}, until {utc(state.charter_expires)}"),
            ("node", f"release {state.node_version}, charter version {state.node_charter_version}"),
            ("your log", _held_by_peers(state)),
            ("waiting for the next tick", f"{state.waiting:,}"),
            ("waiting in the outbox", f"{state.outbox:,}"),
            ("answers in the vault", f"{state.outputs:,}"),
        ],
    )
    print_table(
        "Logs at your node",
        ("member", "entries", "log checked", "last heard", "state"),
        [
            (
                log.writer_name,
                f"{log.size:,}",
                utc(log.checkpoint_time),
                utc(log.last_reached),
                "QUARANTINED" if log.quarantined else log.problem or "well",
            )
            for log in state.logs
        ],
    )
    return EXIT_FAILED if unwell else 0


def _held_by_peers(state: ClientStatus) -> str:
    held, size = state.peers_hold, state.own_size
    if held == size:
        return f"{size:,} entries, which all peers hold"
    behind = [log.writer_name for log in state.logs if log.writer != state.member and log.holds == held]
    return f"peers hold your log up to {held:,} of {size:,} ({', '.join(behind)})"


def budget(*, config: Config = DEFAULT_CONFIG, json: Json = False) -> int:
    """Show how many evaluations each evaluator has left for you, by key class and key period.

    Example: tocsin budget

    Exit codes: 0 shown; 3 unavailable.
    """
    from tocsin.cli.options import connect

    with connect(config) as client:
        budgets = client.budget()
    if json:
        print_json(budgets.to_dict())
        return 0
    print_table(
        "Evaluations left",
        ("class", "key period", "evaluator", "left", "of", "used"),
        [
            (
                left.key_class_name,
                str(left.epoch),
                left.evaluator_name,
                f"{left.left:,}",
                f"{left.limit:,}",
                f"{100 * (left.limit - left.left) / left.limit:.1f} %" if left.limit else "-",
            )
            for left in sorted(budgets.budgets, key=lambda left: (left.key_class, left.epoch, left.seat))
        ],
    )
    for member in budgets.unreachable:
        warn(f"{member.name} did not answer in time")
    return 0
