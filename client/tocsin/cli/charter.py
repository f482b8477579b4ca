"""`tocsin charter`: draft, sign, show, verify and install the federation's charter."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from tocsin.cli.output import Json, counted, date, print_json, print_table, say
from tocsin.cli.unlocking import UnlockBy, passphrase_for

app = App(name="charter", help="The federation's charter: draft, sign, show, verify, install.")


@app.command
def draft(
    cards: list[Path],
    *,
    federation: str,
    out: Path,
    mode: Literal["live", "test"] = "live",
    tick_seconds: int = 60,
    json: Json = False,
) -> None:
    """Draft version 1 from the members' cards. `tocsin keys deal` completes it.

    Example: tocsin charter draft a/card.json b/card.json --federation f.example --out draft.json

    Exit codes: 0 drafted; 2 bad usage, a bad card, or a file that already exists.

    Parameters
    ----------
    cards
        The members' card.json files.
    federation
        The federation's name, as on the cards.
    out
        Where to write the draft.
    mode
        In test mode documentation and test ranges are accepted as values; in live mode they are refused.
    tick_seconds
        How often each node publishes.
    json
        Print what was written as JSON.
    """
    from tocsin.charter.card import parse_card
    from tocsin.client import system
    from tocsin.founding.charters import draft as make_draft

    parsed = [parse_card(path.read_bytes()) for path in cards]
    charter = make_draft(parsed, federation, mode, tick_seconds, system.now())
    with out.open("xb") as file:
        file.write(charter.encode())
    if json:
        print_json({"draft": str(out), "members": [card.member.id for card in parsed]})
        return
    say(f"drafted {out} for {counted(len(parsed), 'member')}; next: tocsin keys deal {out} --out FOLDER")


@app.command
def sign(charter: Path, *, member: Path, unlock: UnlockBy = UnlockBy.KEY_FILE, json: Json = False) -> None:
    """Sign a charter for one member, after checking that its pepper opens and is the one committed to.

    Example: tocsin charter sign dealt/charter.json --member a

    Exit codes: 0 signed; 2 bad usage, a bad charter, or keys that do not open.

    Parameters
    ----------
    charter
        The charter.json to add the signature to, in place.
    member
        The member's folder, with its identity and client parts.
    unlock
        What the member's keyrings are encrypted under.
    json
        Print who has signed as JSON.
    """
    from tocsin.charter.envelope import parse_envelope
    from tocsin.founding.charters import replace_file
    from tocsin.founding.charters import sign as add_signature

    signed = add_signature(member, parse_envelope(charter.read_bytes()), passphrase_for(unlock))
    replace_file(charter, signed.encode())
    if json:
        print_json({"charter": str(charter), "signed": [signer for signer, _ in signed.signatures]})
        return
    say(f"{counted(len(signed.signatures), 'signature')} in {charter}")


@app.command
def show(charter: Path, *, json: Json = False) -> None:
    """Show a charter without verifying it; `verify` does.

    Example: tocsin charter show charter.json

    Exit codes: 0 shown; 2 not a charter.

    Parameters
    ----------
    charter
        A signed charter.json.
    json
        Print the document as JSON.
    """
    from tocsin.charter.document import parse_charter
    from tocsin.charter.envelope import charter_hash, parse_envelope
    from tocsin.founding.charters import coverage_text

    signed = parse_envelope(charter.read_bytes())
    if json:
        print_json(signed.document)
        return
    document = parse_charter(signed.document)
    signers = {member for member, _ in signed.signatures}
    say(
        f"federation {document.federation}, version {document.version}, {document.mode}, "
        f"{date(document.issued)} to {date(document.expires)}, tick {document.tick_seconds} s"
    )
    say(f"hash {charter_hash(signed.document).hex()}")
    print_table(
        "Members",
        ("name", "id", "endpoints", "signed"),
        [
            (member.name, member.id.hex(), member.endpoints, "yes" if member.id in signers else "no")
            for member in document.members
        ],
    )
    print_table(
        "Key classes",
        (
            "class",
            ("key", "period"),
            "threshold",
            "evaluators",
            ("budget", "of each"),
            "coverage",
            ("retention,", "days"),
        ),
        [
            (
                f"{key.key_class} {key.name}",
                str(key.epoch),
                f"{key.threshold} of {len(key.committee)}",
                tuple(document.member(holder).name for holder in key.committee),
                f"{key.budget:,}",
                tuple(coverage_text(key).split(", ")),
                str(key.retention_days),
            )
            for key in document.classes
        ],
    )
    say("coverage: how much of the class's smallest value space one evaluator could search in a key period")
    say("with its whole budget; above 1 % a value of that class can be guessed (see the threat model)")


@app.command
def verify(
    charter: Path,
    *,
    pin: Annotated[str | None, Parameter(help="SHA-256 of version 1's document, 64 hex digits.")] = None,
    previous: Annotated[Path | None, Parameter(help="The verified charter that this one succeeds.")] = None,
    json: Json = False,
) -> None:
    """Verify a charter: a founding one against its pin, or a later one against the charter it succeeds.

    Example: tocsin charter verify charter.json --pin 5f1c...

    Exit codes: 0 valid; 2 bad usage or not a charter; 5 not valid.
    """
    from tocsin.client import system
    from tocsin.founding.charters import verify_file

    verified, digest = verify_file(charter, pin, previous, system.now())
    if json:
        print_json({"valid": True, "version": verified.version, "hash": digest.hex()})
        return
    say(f"valid: {verified.federation} version {verified.version}, hash {digest.hex()}")
    if pin is None and previous is None:
        say("no pin was given: compare the hash with the other members by other means, then pin it")


@app.command
def install(charter: Path, *, member: Path, shares: Path | None = None, json: Json = False) -> None:
    """Put a founding charter, its pin and the member's sealed shares in place for its node and client.

    Example: tocsin charter install dealt/charter.json --member a --shares dealt/shares

    Exit codes: 0 installed; 2 bad usage, or shares are missing; 5 not signed by every member.

    Parameters
    ----------
    charter
        charter.json, signed by every member.
    member
        The member's folder.
    shares
        The shares folder that `tocsin keys deal` wrote; only the member's own are copied. A member that holds seats
        needs it, unless its shares are in place already.
    json
        Print the pin as JSON.
    """
    from tocsin.charter.envelope import parse_envelope
    from tocsin.client import system
    from tocsin.founding.charters import install as put_in_place

    pin = put_in_place(member, parse_envelope(charter.read_bytes()), shares, system.now())
    if json:
        print_json({"member": str(member), "charter_pin": pin})
        return
    say(f"installed for {member}; compare this pin with every other member: {pin.hex()}")
