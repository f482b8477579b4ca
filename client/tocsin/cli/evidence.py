"""`tocsin evidence`: show, export and verify pieces of evidence."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from tocsin.cli.options import DEFAULT_CONFIG, Config, Indicators, Inputs, Pin, SomeAccounts, trusted_pin
from tocsin.cli.output import Json, day, print_json, print_table, say, utc

if TYPE_CHECKING:
    from tocsin.charter.document import Charter, Member
    from tocsin.client import Match

app = App(name="evidence", help="Show, export and verify pieces of evidence.")

EXIT_NOTHING = 1
Entry = Annotated[
    str | None, Parameter(name="--match", help="writer:index, as `tocsin query` shows it under entry.")
]


class BadArguments(ValueError):
    """Arguments that do not go together."""


class NoSuchEntry(ValueError):
    """An index beyond the end of your node's copy of a log."""


@app.command
def show(
    *inputs: Inputs,
    match: Entry = None,
    from_: Indicators = None,
    accounts: SomeAccounts = None,
    config: Config = DEFAULT_CONFIG,
    json: Json = False,
) -> int:
    """Open an entry with a value that you hold: the accusation, the type and the dates.

    Only who holds the value can open an entry, so name the value, or the file that holds it, as for `tocsin query`.
    Values that were queried before cost nothing.

    Example: tocsin evidence show accounts.csv --match 1d7435c5:6

    Exit codes: 0 shown; 1 none of these values opens the entry; 2 bad usage; 3 unavailable; 4 budget used up; 5 a check
    failed.
    """
    from tocsin.cli.options import connect
    from tocsin.cli.rows import read_rows

    rows = read_rows(inputs, from_, accounts)
    with connect(config) as client:
        writer, index = _entry(client.charter, match, None, None)
        result = client.query(rows.values, skip_refused=True)
    opened = [opening for opening in result.matches if (opening.writer, opening.index) == (writer.id, index)]
    rows.warn_bad()
    if json:
        print_json([opening.to_dict() for opening in opened])
    elif opened:
        for opening in opened:
            places = [rows.good[position].place for position in opening.positions]
            print_table(
                f"Entry {index} of {writer.name}'s log", ("field", "value"), _accusation(opening, places)
            )
    else:
        say(f"none of these values opens entry {index} of {writer.name}'s log")
    return 0 if opened else EXIT_NOTHING


def _accusation(match: Match, places: list[str]) -> list[tuple[str, str | tuple[str, ...]]]:
    from tocsin.client.results import word
    from tocsin.sealing.label import Report, bucket_range

    label = match.label
    read: list[tuple[str, str | tuple[str, ...]]] = [
        ("type", match.type),
        ("your value", tuple(places)),
        ("reported by", f"{match.writer_name} ({match.writer.hex()})"),
        ("log checked", utc(match.checkpoint_time)),
    ]
    if match.bands:
        read.append(("agreement", f"similar prompt ({match.bands}/{match.bands_of})"))
    if not isinstance(label, Report):
        return [("disputed", word(label.reason)), *read]
    low, high = bucket_range(label.bad_accounts_bucket)
    first, last = day(label.first_week), day(label.last_week)
    return [
        ("accused of", word(label.abuse)),
        ("value belongs to", word(label.role)),
        *read,
        (
            "seen",
            f"from the week of {first} to the week of {last}" if first != last else f"in the week of {first}",
        ),
        ("bad accounts", str(low) if low == high else f"{low} to {high}"),
        ("evidence", word(label.evidence)),
        ("confidence", f"{label.confidence} %"),
        ("TLP", word(label.tlp)),
        ("legal basis", word(label.legal_basis)),
    ]


@app.command
def export(
    *,
    out: Annotated[Path, Parameter(help="A new folder for the evidence.")],
    match: Entry = None,
    writer: Annotated[str | None, Parameter(help="Name or id of the member whose log it is.")] = None,
    index: Annotated[int | None, Parameter(help="Index in that log.")] = None,
    config: Config = DEFAULT_CONFIG,
    json: Json = False,
) -> int:
    """Write an entry, its proof and the charters into a new folder.

    Anyone who has the federation's pin can verify it offline. The entry stays sealed. about.json is for a reader's
    convenience: it proves nothing.

    Example: tocsin evidence export --match 1d7435c5:6 --out evidence

    Exit codes: 0 written; 2 bad arguments, or an entry that was erased or is not there; 3 unavailable; 5 the node's
    proof fails.
    """
    from tocsin.cli.options import connect
    from tocsin.client.errors import RefusedByNode
    from tocsin.client.evidence import export_evidence
    from tocsin.wire.reasons import Reason

    with connect(config) as client:
        member, number = _entry(client.charter, match, writer, index)
        try:
            proof = client.prove(member.id, number)
        except RefusedByNode as error:
            if error.reason not in (Reason.OUT_OF_RANGE, Reason.UNKNOWN_LOG):
                raise
            raise NoSuchEntry(
                f"{member.name}'s log has no entry {number}; `tocsin log verify` shows how many it has"
            ) from None
        export_evidence(
            out,
            proof,
            client.charter_chain(),
            writer=member.id,
            name=member.name,
            index=number,
        )
    if json:
        print_json({"folder": str(out), "writer": member.id, "index": number})
    else:
        say(f"entry {number} of {member.name}'s log is in {out}")
        say(f"verify it with: tocsin evidence verify {out} --pin ...")
    return 0


def _entry(charter: Charter, match: str | None, writer: str | None, index: int | None) -> tuple[Member, int]:
    """Return the member and the index that were named. Raises `BadArguments`, `NoSuchMember`."""
    from tocsin.cli.log import find_member

    if match is not None:
        writer, _, digits = match.partition(":")
        index = int(digits) if digits.isascii() and digits.isdigit() else None
    if writer is None or index is None:
        raise BadArguments("name the entry with --match WRITER:INDEX (or, to export, --writer and --index)")
    if not 0 <= index < 2**63:
        raise BadArguments("--index counts from 0")
    return find_member(charter, writer), index


@app.command
def verify(
    *paths: Annotated[
        Path,
        Parameter(help="The folder that `tocsin evidence export` wrote, or files of proofs of any kind."),
    ],
    pin: Pin = None,
    config: Config = DEFAULT_CONFIG,
    json: Json = False,
) -> int:
    """Verify evidence offline, without a node, and print what it proves.

    A file may be the proof of a fork, of a bad partial evaluation or of two charters of one version; the charters lie
    beside it. `tocsin node evidence` writes those that your node keeps. about.json is not read: it is a convenience and
    proves nothing.

    Example: tocsin evidence verify evidence --pin 5f1c...

    Exit codes: 0 every path proves what it claims; 2 files or the pin are missing; 5 one does not.
    """
    from tocsin.client import system

    if not paths:
        raise BadArguments("name a folder of evidence, or files of proofs")
    trusted, now = trusted_pin(pin, config), system.now()
    for path in paths:
        if path.is_file():
            _verify_file(path, trusted, now, json=json)
        else:
            _verify_folder(path, trusted, now, json=json)
    return 0


def _verify_file(path: Path, pin: bytes, now: int, *, json: bool) -> None:
    from tocsin.client.evidence import finding_dict, verify_proof_file

    finding = verify_proof_file(path, pin, now)
    if json:
        print_json(finding_dict(finding))
        return
    print_table(
        f"Verified: {finding.statement}",
        ("field", "value"),
        [
            *(("member", f"{member.name} ({member.id.hex()})") for member in finding.members),
            *(("dated", utc(time)) for time in finding.times),
            *((name.replace("_", " "), str(value)) for name, value in finding.details.items()),
        ],
    )


def _verify_folder(folder: Path, pin: bytes, now: int, *, json: bool) -> None:
    from tocsin.client.evidence import verify_evidence

    verified = verify_evidence(folder, pin, now)
    if json:
        print_json(verified.to_dict())
        return
    print_table(
        "Verified: the member published this entry",
        ("field", "value"),
        [
            ("federation", verified.federation),
            ("member", f"{verified.writer_name} ({verified.writer.hex()})"),
            ("entry", f"{verified.index} of {verified.tree_size}"),
            ("kind", verified.kind),
            ("class, key period, period", f"{verified.key_class}, {verified.epoch}, {verified.period}"),
            ("log checked", utc(verified.checkpoint_time)),
            ("charter version", str(verified.charter_version)),
        ],
    )
