"""Files that hold a key or a passphrase.

1. A file that belongs to neither the current user nor root is refused: its owner could read or replace it. Root itself
   reads any file, as in a container.
2. The open file is checked, so what is checked is what is read.
3. A passphrase's file may be readable by others: containers hand secrets over as files that only one user can reach.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from tocsin.client.errors import BadConfig

PASSPHRASE_FILE = "TOCSIN_PASSPHRASE_FILE"  # noqa: S105 - the name of a variable, not a passphrase


def read_key_file(path: Path) -> bytes:
    """Read a file that nobody but its owner may read. Raises `BadConfig`, OSError."""
    return _read(path, private=True)


def read_passphrase_file(path: Path) -> str:
    """Read a passphrase from the file that TOCSIN_PASSPHRASE_FILE names. Raises `BadConfig`, OSError."""
    try:
        return _read(path, private=False).decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        # Its own message would show a byte of the passphrase.
        raise BadConfig(f"the file that {PASSPHRASE_FILE} names is not UTF-8") from None


def _read(path: Path, *, private: bool) -> bytes:
    with path.open("rb") as file:
        status = os.fstat(file.fileno())
        if os.geteuid() != 0 and status.st_uid not in (os.geteuid(), 0):
            raise BadConfig(
                f"{path} belongs to another user (id {status.st_uid}), who could read or replace it; "
                f"run: chown {os.geteuid()} {path}"
            )
        mode = stat.S_IMODE(status.st_mode)
        if private and mode & 0o077:
            raise BadConfig(f"{path} may be read by others (mode {mode:04o}); run: chmod 600 {path}")
        return file.read()
