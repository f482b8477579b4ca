"""How a command opens keyrings: under a key file beside them, or a passphrase that is never in argv."""

from __future__ import annotations

import os
from enum import StrEnum
from getpass import getpass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tocsin.sealing.keyring import Passphrase


class UnlockBy(StrEnum):
    """What keyrings are encrypted under."""

    KEY_FILE = "key-file"
    PASSPHRASE = "passphrase"  # noqa: S105 - the word, not a passphrase


def passphrase_for(unlock: UnlockBy) -> Passphrase | None:
    """The passphrase from the file that TOCSIN_PASSPHRASE_FILE names, else asked for; None for a key file.

    Raises `BadConfig`, OSError.
    """
    if unlock is UnlockBy.KEY_FILE:
        return None
    from tocsin.client.secret_files import PASSPHRASE_FILE, read_passphrase_file
    from tocsin.sealing.keyring import Passphrase

    named = os.environ.get(PASSPHRASE_FILE)
    return Passphrase(read_passphrase_file(Path(named)) if named else getpass("Passphrase: "))
