"""How a command opens keyrings: under a key file beside them, or a passphrase that never stands in argv."""

from __future__ import annotations

import os
from enum import StrEnum
from getpass import getpass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tocsin.sealing.keyring import Passphrase

PASSPHRASE_FILE = "TOCSIN_PASSPHRASE_FILE"  # noqa: S105 - the name of a variable, not a passphrase


class UnlockBy(StrEnum):
    """What keyrings are encrypted under."""

    KEY_FILE = "key-file"
    PASSPHRASE = "passphrase"  # noqa: S105 - the word, not a passphrase


def passphrase_for(unlock: UnlockBy) -> Passphrase | None:
    """The passphrase from the file that TOCSIN_PASSPHRASE_FILE names, else asked for; None for a key file."""
    if unlock is UnlockBy.KEY_FILE:
        return None
    from tocsin.sealing.keyring import Passphrase

    named = os.environ.get(PASSPHRASE_FILE)
    return Passphrase(Path(named).read_text().rstrip("\n") if named else getpass("Passphrase: "))
