"""`tocsin status` and `tocsin budget`."""

from __future__ import annotations

from tocsin.cli.options import DEFAULT_CONFIG, Config
from tocsin.cli.output import Json, print_json, print_table, utc, warn

EXIT_FAILED = 1


def status(*, config: Config = DEFAULT_CONFIG, json: Json = False) -> int:
    """Show how client and node stand: charter, outbox, and every log the node follows.

    Exit codes: 0 well, 1 a log is quarantined or cannot be followed, 3 unavailable.
    """
    from tocsin.cli.options import connect

    with connect(config) as client:
        found = client.status()
    unwell = [log.writer_name for log in found.logs if log.quarantined or log.problem]
    if json:
        print_json(found.to_dict())
        return EXIT_FAILED if unwell else 0
    print_table(
        f"{found.member_name} in {found.federation}",
        ("what", "value"),
        [
            ("member", found.member.hex()),
            ("charter", f"version {found.charter_version}, until {utc(found.charter_expires)}"),
            ("node", f"release {found.node_version}, charter version {found.node_charter_version}"),
            ("waiting for the next tick", str(found.waiting)),
            ("waiting in the outbox", str(found.outbox)),
            ("outputs in the vault", str(found.outputs)),
        ],
    )
    print_table(
        "Logs at the own node",
        ("member", "entries", "as of", "last reached", "state"),
        [
            (
                log.writer_name,
                str(log.size),
                utc(log.checkpoint_time),
                utc(log.last_reached),
                "QUARANTINED" if log.quarantined else log.problem or "well",
            )
            for log in found.logs
        ],
    )
    return EXIT_FAILED if unwell else 0


def budget(*, config: Config = DEFAULT_CONFIG, json: Json = False) -> int:
    """Show what every evaluator says is left of this member's evaluations, by class and key epoch.

    Exit codes: 0 shown, 3 unavailable.
    """
    from tocsin.cli.options import connect

    with connect(config) as client:
        found = client.budget()
    if json:
        print_json(found.to_dict())
        return 0
    print_table(
        "Evaluations left",
        ("class", "epoch", "seat", "evaluator", "left", "of", "used"),
        [
            (
                each.key_class_name,
                str(each.epoch),
                str(each.seat),
                each.evaluator_name,
                f"{each.left:,}",
                f"{each.limit:,}",
                f"{100 * (each.limit - each.left) / each.limit:.1f} %" if each.limit else "-",
            )
            for each in found.budgets
        ],
    )
    for member in found.unreachable:
        warn(f"{member.name} did not answer in time")
    return 0
