"""What later runs of `tocsin ingest` go on from: a folder of the provider's own (PTF1.md §5).

1. `key` is the 32-byte sampling key, readable by its owner only. It never leaves the machine and never changes: with
   another key other conversations would be looked at.
2. `settings.json` says k and the window; a run with others is refused.
3. `samples` is partitions of accounts: shingle hashes and facts, no prompt; sealed under a key derived from the
   sampling key, so that a copy of it alone is of no use. It is written beside and then put in place as a whole.
4. One run at a time uses it.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path

from tocsin.client.system import random_bytes
from tocsin.indicators.ptf1.account import KEY_BYTES


class BadState(ValueError):
    """A state folder that this run cannot go on from; the message says why."""


@dataclass(frozen=True, slots=True)
class State:
    """A state folder that is in use by this run."""

    folder: Path
    key: bytes = field(repr=False)

    @property
    def sealing_key(self) -> bytes:
        """The key that `samples` is sealed under (rule 3)."""
        return blake2b(b"samples", digest_size=32, key=self.key, person=b"ptf1 state").digest()

    @property
    def samples(self) -> Path:
        """The folder of the samples that were kept."""
        return self.folder / "samples"

    @property
    def fresh(self) -> Path:
        """The folder that new samples are written to."""
        return self.folder / "samples.new"

    def put_in_place(self) -> None:
        """Make `fresh` the samples."""
        old = self.folder / "samples.old"
        if self.samples.exists():
            self.samples.rename(old)
        self.fresh.rename(self.samples)
        shutil.rmtree(old, ignore_errors=True)


@contextmanager
def opened(folder: Path, k: int, window_days: int) -> Iterator[State]:
    """Open a state folder, or make one. Raises `BadState`, OSError."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BadState(f"{folder}: another run uses it; wait until that has ended") from None
        key = _key(folder / "key")
        _same_settings(folder / "settings.json", {"k": k, "window_days": window_days})
        state = State(folder, key)
        if not state.samples.exists() and (folder / "samples.old").exists():
            (folder / "samples.old").rename(state.samples)  # stopped between two renames
        shutil.rmtree(folder / "samples.old", ignore_errors=True)
        shutil.rmtree(state.fresh, ignore_errors=True)
        state.samples.mkdir(mode=0o700, exist_ok=True)
        state.fresh.mkdir(mode=0o700)
        yield state
    finally:
        os.close(lock)


def read_key(folder: Path) -> bytes:
    """Return the sampling key of a state folder. Raises `BadState`, OSError."""
    key = (folder / "key").read_bytes()
    if len(key) != KEY_BYTES:
        raise BadState(f"{folder / 'key'}: is no sampling key of {KEY_BYTES} bytes")
    return key


def _key(path: Path) -> bytes:
    if not path.exists():
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(random_bytes(KEY_BYTES))
    return read_key(path.parent)


def _same_settings(path: Path, settings: dict[str, int]) -> None:
    if not path.exists():
        path.write_text(json.dumps(settings) + "\n")
        return
    try:
        found = json.loads(path.read_text())
    except ValueError:
        raise BadState(f"{path}: is damaged") from None
    if found != settings:
        raise BadState(
            f"{path}: was made with {found}, this run has {settings}; use the same, or a new folder"
        )
