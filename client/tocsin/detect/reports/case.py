"""A campaign's folder for Legal.

1. `campaign.json` has the facts, `page.html` the page, `evidence/NAME-INDEX/` each report's entry, proof and charters,
   as `tocsin evidence verify` reads them; `history.jsonl` is the casebook's history of the campaign and its accounts,
   with every row's number and hash; `README.txt` says how to check all of it.
2. `MANIFEST.sha256` has the SHA-256 of every other file, as `sha256sum -c` reads it. The history of the casebook keeps
   the manifest's own hash, so a folder can be told later from one that was changed.
3. The folder is there whole or not at all, and never in place of another.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tocsin.client.evidence import export_evidence
from tocsin.client.timestamps import iso_time
from tocsin.detect.casebook import history
from tocsin.detect.casebook.book import Casebook
from tocsin.detect.casebook.record import Entry
from tocsin.detect.reports.campaign import CampaignFile
from tocsin.detect.reports.page import render, tlp_name
from tocsin.detect.reports.provenance import Proven
from tocsin.detect.reports.writing import new_folder

MANIFEST = "MANIFEST.sha256"
_README = """\
Campaign {id}, {tlp}
Made {made} by {who} from the casebook of the member.

campaign.json    accounts, values, evidence, reports and decisions
page.html        the same for reading
evidence/        each report of another member: its sealed entry, its proof, the federation's charters
history.jsonl    who did what with these accounts and when, from the casebook's history
MANIFEST.sha256  the SHA-256 of every file

To check that no file was changed:    sha256sum -c MANIFEST.sha256
To check each proof, offline:         tocsin evidence verify evidence/* --pin PIN
The pin is the hash of the federation's first charter. Take it from the federation, not from this folder.

A proof shows that the named member published the entry, and when the others had cosigned it. What an entry says is
sealed: only who holds the value can open it. In history.jsonl, `hash` is SHA-256 over the hash before it and the row,
over the whole casebook; rows about other accounts are left out here, so `tocsin review verify` verifies the chain.
"""


@dataclass(frozen=True, slots=True)
class Written:
    """What was written: files beside the manifest, proofs, and the manifest's own SHA-256 in hex."""

    files: int
    proofs: int
    manifest: str


def export_case(
    book: Casebook,
    folder: Path,
    about: CampaignFile,
    proven: Sequence[Proven],
    charters: Sequence[bytes],
    who: str,
) -> Written:
    """Write the folder, and into the history that it was written. Raises FileExistsError, OSError, `BrokenHistory`."""
    history.verify(book.database)
    with new_folder(folder) as fresh:
        _write(fresh / "campaign.json", json.dumps(facts(about, proven), indent=2) + "\n")
        _write(fresh / "page.html", render(about, proven))
        _write(fresh / "history.jsonl", _custody(book, about))
        _write(
            fresh / "README.txt",
            _README.format(id=about.id, tlp=tlp_name(about.tlp), made=iso_time(about.now), who=who),
        )
        kept = [one for one in proven if not one.missing]
        for one in kept:
            entry = one.entry
            export_evidence(
                fresh / "evidence" / _name(entry), one.files, charters, writer=entry.writer,
                name=entry.writer_name, index=entry.entry,
            )  # fmt: skip
        lines = [
            f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(fresh).as_posix()}\n"
            for path in sorted(fresh.rglob("*"))
            if path.is_file()
        ]
        _write(fresh / MANIFEST, "".join(lines))
        manifest = hashlib.sha256((fresh / MANIFEST).read_bytes()).hexdigest()
    with book.database.writing() as connection:
        detail = {"campaign": about.id, "manifest": manifest, "files": len(lines)}
        history.write(connection, about.now, who, "case exported", None, detail)
    return Written(len(lines), len(kept), manifest)


def facts(about: CampaignFile, proven: Sequence[Proven]) -> dict[str, object]:
    """Return a campaign's facts, JSON-ready."""
    at = {one.entry: one for one in proven}

    def report(entry: Entry) -> dict[str, object]:
        one = at.get(entry)
        there = one is not None and not one.missing
        return {
            "member": entry.writer_name,
            "writer": entry.writer.hex(),
            "index": entry.entry,
            "hops": entry.hops,
            "tlp": tlp_name(entry.tlp),
            "evidence": f"evidence/{_name(entry)}" if there else None,
            "missing": one.missing if one is not None and one.missing else None,
        }

    return {
        "campaign": about.id,
        "name": about.name,
        "abuse": about.abuse,
        "tlp": tlp_name(about.tlp),
        "made": iso_time(about.now),
        "withheld": about.withheld,
        "accounts": [asdict(account) for account in about.accounts],
        "values": [
            asdict(value) | {"entries": [f"{entry.writer.hex()}:{entry.entry}" for entry in value.entries]}
            for value in (*about.values, *about.hubs)
        ],
        "reports": [report(entry) for entry in about.entries],
        "decisions": [asdict(one) for one in about.decisions],
    }


def _custody(book: Casebook, about: CampaignFile) -> str:
    numbers = {account.no for account in about.accounts}
    with book.database.reading() as connection:
        rows = history.hashed_events(connection)
        mine = [
            event.to_dict() | {"hash": hash.hex()}
            for event, hash in rows
            if event.flag in numbers
            or (event.flag is None and json.loads(event.detail).get("campaign") == about.id)
        ]
    return "".join(json.dumps(row) + "\n" for row in mine)


def _name(entry: Entry) -> str:
    plain = re.sub(r"[^a-z0-9]+", "-", entry.writer_name.lower()).strip("-") or "member"
    return f"{plain[:40]}-{entry.writer.hex()[:8]}-{entry.entry}"


def _write(path: Path, text: str) -> None:
    path.write_text(text, "utf-8")
    path.chmod(0o600)
