"""A casebook, opened: its settings, its database, and the key of its hashes."""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from tocsin.detect.casebook.database import Database, open_database
from tocsin.detect.casebook.errors import BadSettings, NoCasebook
from tocsin.detect.casebook.settings import (
    DATABASE_FILE,
    FILE,
    KEY_BYTES,
    KEY_FILE,
    TEMPLATE,
    Settings,
    load_settings,
)

VALUE_KEY_BYTES = 16
Random = Callable[[int], bytes]


class Casebook:
    """A team's casebook. `open_casebook` makes one; it is a context manager."""

    def __init__(self, settings: Settings, database: Database, key: bytes) -> None:
        self.settings = settings
        self.database = database
        self._value_key = hmac.digest(key, b"tocsin/1 casebook values", "sha256")

    def __repr__(self) -> str:
        return f"Casebook({str(self.settings.folder)!r})"

    def __enter__(self) -> Casebook:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.database.close()

    def key_of(self, type: str, value: str) -> bytes:
        """Return the 16 bytes that stand for a value here, as its holdings write it (M-7.7)."""
        name = type.encode()
        return hashlib.blake2b(
            len(name).to_bytes(2, "big") + name + value.encode(),
            digest_size=VALUE_KEY_BYTES,
            key=self._value_key,
        ).digest()


def make_casebook(folder: Path, random: Random) -> None:
    """Make the folder of a casebook: casebook.toml and casebook.key, each only where it is missing. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name, content in ((FILE, TEMPLATE.encode()), (KEY_FILE, random(KEY_BYTES).hex().encode() + b"\n")):
        try:
            file = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            continue
        with os.fdopen(file, "wb") as opened:
            opened.write(content)


def open_casebook(folder: Path) -> Casebook:
    """Open the casebook of a folder, migrating its database where it is behind.

    Raises `NoCasebook`, `BadSettings`, `CasebookTooNew`, `ForeignCasebook`, `CasebookUnavailable`.
    """
    settings = load_settings(folder)
    path = folder / KEY_FILE
    try:
        key = bytes.fromhex(path.read_text("ascii").strip())
    except FileNotFoundError:
        raise NoCasebook(
            f"{path} is missing: copy it from a colleague's folder; hashes cannot be made without"
        ) from None
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise BadSettings(f"{path} must hold {KEY_BYTES} bytes in hex")
    url = settings.database or f"sqlite:///{folder / DATABASE_FILE}"
    mark = hmac.digest(key, b"tocsin/1 casebook mark", "sha256")[:16]
    return Casebook(settings, open_database(url, mark), key)
