"""Where a campaign's evidence comes from: each report's place in its writer's log, proven and verified.

1. A proof is fetched from the member's own node and verified before it is shown or kept. One that fails its check is an
   error, not a row.
2. A report that was retracted or expired has no body any more, so nothing can be proven of it; it is named as erased.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tocsin.client.errors import EntryErased, NodeMisbehaved, UnknownMember
from tocsin.client.matching import freshness
from tocsin.client.results import ProofFiles
from tocsin.detect.casebook.record import Entry
from tocsin.proofs.entry import parse_entry_file, parse_tlog_proof, verify_member_published
from tocsin.proofs.errors import ProofError

if TYPE_CHECKING:
    from tocsin.client import Client


@dataclass(frozen=True, slots=True)
class Proven:
    """A report with its proof: how large the log was, when it was last cosigned (unix seconds), the entry's SHA-256.

    `missing` says why there is no proof, and the rest is empty then.
    """

    entry: Entry
    tree_size: int = 0
    checkpoint_time: int = 0
    digest: str = ""
    files: ProofFiles = field(default=ProofFiles(b"", b""), repr=False)
    missing: str = ""


def prove(client: Client, entries: Iterable[Entry]) -> tuple[Proven, ...]:
    """Fetch and verify the proof of each report. Raises `NodeMisbehaved`, `Unavailable`."""
    charter = client.charter
    proven = []
    for entry in entries:
        try:
            files = client.prove(entry.writer, entry.entry)
        except EntryErased:
            proven.append(Proven(entry, missing="erased: its writer retracted it, or it expired"))
            continue
        except UnknownMember:
            proven.append(Proven(entry, missing="its writer is no member any more"))
            continue
        try:
            _, signed = verify_member_published(
                parse_entry_file(files.entry), parse_tlog_proof(files.proof), charter
            )
        except ProofError as error:
            raise NodeMisbehaved(f"a proof of {entry.writer_name}'s log that fails ({error})") from None
        proven.append(
            Proven(
                entry, signed.checkpoint.size, freshness(charter, signed), hashlib.sha256(files.entry).hexdigest(),
                files,
            )
        )  # fmt: skip
    return tuple(proven)
