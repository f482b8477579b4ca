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


class BadPassphraseFile(ValueError):
    """A file that holds no text."""


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
    if not named:
        return Passphrase(getpass("Passphrase: "))
    try:
        text = Path(named).read_text("utf-8")
    except UnicodeDecodeError:
        # Its own message would show a byte of the passphrase.
        raise BadPassphraseFile(f"the file that {PASSPHRASE_FILE} names is not UTF-8") from None
    return Passphrase(text.rstrip("\r\n"))
