"""`tocsin member`: make a member's keys, certificates and public card."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from tocsin.cli.output import Json, print_json, print_table, say
from tocsin.cli.unlocking import UnlockBy, passphrase_for

app = App(name="member", help="Make a member's keys, certificates and public card.")


@app.command
def init(
    folder: Path,
    *,
    federation: str,
    name: str,
    endpoint: str,
    contact_email: str = "",
    contact_phone: str = "",
    contact_key: Path | None = None,
    contact_note: str = "",
    unlock: UnlockBy = UnlockBy.KEY_FILE,
    json: Json = False,
) -> None:
    """Make a member in a new folder: identity, CA, node and client, each with its own keys, and a public card.

    Example: tocsin member init a --federation f.example --name Aster --endpoint node.aster.example:7443

    Exit codes: 0 made; 2 bad usage, or a folder that is not empty.

    Parameters
    ----------
    folder
        Where to make it; it must be empty or new.
    federation
        The federation's DNS-valid name, at most 64 characters.
    name
        The member's name, as people know it.
    endpoint
        host:port at which the other members reach its node.
    contact_email
        Whom to write to about a campaign; it stands in the card and in the charter, where every member sees it.
    contact_phone
        Whom to call, as +4930123456.
    contact_key
        A file with the OpenPGP public key (not armoured) or the age recipient to write to, at most 4,096 bytes.
    contact_note
        When and for what, at most 256 characters.
    unlock
        What the keyrings are encrypted under: a key file beside them (mode 0600), or a passphrase, read from the file
        that TOCSIN_PASSPHRASE_FILE names or asked for.
    json
        Print the card as JSON.
    """
    from tocsin.charter.checks import check_contact
    from tocsin.charter.document import Contact
    from tocsin.client import system
    from tocsin.founding.members import init_member

    contact = Contact(
        contact_email,
        contact_phone,
        contact_key.read_bytes().rstrip(b"\n") if contact_key else b"",
        contact_note,
    )
    check_contact(contact, "$.member.contact")
    card = init_member(folder, federation, name, endpoint, system.now(), passphrase_for(unlock), contact)
    if json:
        print_json(card.encode())
        return
    print_table(
        f"Member {name} of {federation}",
        ("part", "folder", "where it belongs"),
        [
            ("member card", str(folder / "card.json"), "public: for whoever drafts the charter"),
            (
                "identity and CA",
                str(folder / "identity"),
                "offline; signs charters and certificates",
            ),
            ("node", str(folder / "node"), "on the node's machine"),
            ("client", str(folder / "client"), "on the client's machine, never on the node"),
        ],
    )
    say(f"member id {card.member.id.hex()}")


@app.command
def show(
    card: Annotated[Path, Parameter(help="A card.json, or the folder that holds one.")], *, json: Json = False
) -> None:
    """Verify a member card's own signature and show it.

    Example: tocsin member show a/card.json

    Exit codes: 0 it verifies; 2 not a card; 5 its signature does not verify.
    """
    from tocsin.charter.card import parse_card

    path = card / "card.json" if card.is_dir() else card
    parsed = parse_card(path.read_bytes())
    if json:
        print_json(parsed.encode())
        return
    member = parsed.member
    keys = ("identity", "log", "cosigner", "node", "node_hpke", "client_hpke")
    print_table(
        f"Member {member.name}",
        ("field", "value"),
        [
            ("id", member.id.hex()),
            ("endpoints", ", ".join(member.endpoints)),
            (
                "security contact",
                ", ".join(filter(None, (member.contact.email, member.contact.phone))) or "none",
            ),
            *([("contact's note", member.contact.note)] if member.contact.note else []),
            *((key, getattr(member, key).hex()) for key in keys),
        ],
    )
