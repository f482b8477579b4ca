"""What later runs of `tocsin ingest` continue from: a folder that the provider keeps (PTF2.md §5).

1. `key` is the 32-byte sampling key. It never leaves the machine and never changes: another key would sample other
   conversations. A folder or key that others can read is refused.
2. `settings.json` holds k and the window; a run with other values is refused.
3. `samples` is partitions of accounts: shingle hashes and facts, no prompt; sealed under a key derived from the
   sampling key, so that a copy of it alone is of no use. Beside it is the list of what was read (see `already_read`).
4. Each of these is written under another name, synced to disk and renamed: a crash leaves the old or the new.
5. Nothing outlives its type's retention, counted from the end of its window: addresses go first, then devices; with the
   longest retention of what `ingest` makes goes the whole window.
6. One run at a time uses the folder.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

from tocsin.client import system
from tocsin.indicators.ptf2.account import KEY_BYTES
from tocsin.indicators.registry import TYPES
from tocsin.ingest.facts import ADDRESS
from tocsin.ingest.sampling import DAY, DEFAULT_K, DEFAULT_WINDOW_DAYS, FACTS
from tocsin.ingest.spilling import Spill

_DEFAULTS = {"k": DEFAULT_K, "window_days": DEFAULT_WINDOW_DAYS}
_ADDRESSES = max(TYPES[name].retention_days for name in ("net.ipv4", "net.ipv4-24", "net.ipv6-64"))
_TOOLS = TYPES["client.tools"].retention_days
_WINDOW = max(type.retention_days for type in TYPES.values())


def _kept_days(fact: str) -> int:
    return _ADDRESSES if fact == ADDRESS else TYPES[fact].retention_days


ELSE = "restore the state folder from a backup, or name a new one with --state"
"""How to fix a damaged folder, for the end of messages about it."""


class BadState(ValueError):
    """A state folder that this run cannot continue from; the message says why, and how to fix it."""


@dataclass(frozen=True, slots=True)
class State:
    """A state folder that is in use by this run, which began at `now`."""

    folder: Path
    key: bytes = field(repr=False)
    window_days: int
    now: int

    @property
    def sealing_key(self) -> bytes:
        """The key that `samples` is sealed under (rule 3)."""
        return self.derived(b"samples")

    def derived(self, purpose: bytes) -> bytes:
        """Return the key for one purpose, which no other purpose shares."""
        return blake2b(purpose, digest_size=32, key=self.key, person=b"ptf2 state").digest()

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
        for path in (*self.fresh.iterdir(), self.fresh):
            _to_disk(path)
        old = self.folder / "samples.old"
        if self.samples.exists():
            self.samples.rename(old)
        self.fresh.rename(self.samples)
        _to_disk(self.folder)
        shutil.rmtree(old, ignore_errors=True)


class Keeper(Spill):
    """Writes fresh samples, without what has outlived its retention (rule 5)."""

    def __init__(self, state: State, writer: int) -> None:
        super().__init__(state.fresh, writer, state.sealing_key)
        self._now, self._days = state.now // DAY, state.window_days

    def add(self, partition: int, row: list[Any]) -> None:
        """Append what is still to be kept of a row that says kind, account and window first."""
        age = self._now - (row[2] + 1) * self._days
        if age > (_WINDOW if row[0] == FACTS else _TOOLS):
            return
        if row[0] == FACTS:
            row = [*row[:6], [value for value in row[6] if age <= _kept_days(value[0])], *row[7:]]
        super().add(partition, row)


@contextmanager
def opened(folder: Path, k: int, window_days: int) -> Iterator[State]:
    """Open a state folder, or make one. Raises `BadState`."""
    lock = -1
    try:
        try:
            lock = _locked(folder)
            state = _prepared(folder, k, window_days)
        except OSError as error:
            raise BadState(
                f"{error.filename or folder}: cannot be used ({error.strerror}); "
                "make it yours to read and write, or name another folder with --state"
            ) from None
        yield state
    finally:
        if lock >= 0:
            os.close(lock)


def read_key(folder: Path) -> bytes:
    """Return the sampling key of a state folder. Raises `BadState`, OSError."""
    _check_folder(folder)
    path = folder / "key"
    with path.open("rb") as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        if mode & 0o077:
            raise BadState(f"{path} may be read by others (mode {mode:04o}); run: chmod 600 {path}")
        key = file.read(KEY_BYTES + 1)
    if len(key) != KEY_BYTES:
        raise BadState(f"{path}: is not a sampling key of {KEY_BYTES} bytes; {ELSE}")
    return key


def _check_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise BadState(f"{folder}: is not a folder; name a folder with --state")
    status = folder.stat()
    if status.st_uid != os.geteuid():
        raise BadState(
            f"{folder} belongs to another user, who could read what is kept; name a folder that belongs to you"
        )
    mode = stat.S_IMODE(status.st_mode)
    if mode & 0o077:
        raise BadState(f"{folder} may be read by others (mode {mode:04o}); run: chmod 700 {folder}")


def _locked(folder: Path) -> int:
    if not os.path.lexists(folder):
        folder.mkdir(mode=0o700, parents=True)
    _check_folder(folder)
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise BadState(f"{folder}: another run uses it; wait until it has ended") from None
    return lock


def _prepared(folder: Path, k: int, window_days: int) -> State:
    samples, old = folder / "samples", folder / "samples.old"
    if not samples.exists() and old.exists():
        old.rename(samples)  # stopped between two renames
    key = folder / "key"
    if not key.exists():
        if samples.exists():
            raise BadState(f"{key}: is missing, and only it opens the samples that are there; {ELSE}")
        _write(key, system.random_bytes(KEY_BYTES))
    state = State(folder, read_key(folder), window_days, system.now())
    _same_settings(folder, {"k": k, "window_days": window_days})
    if samples.exists() and not samples.is_dir():
        raise BadState(f"{samples}: is not a folder; {ELSE}")
    shutil.rmtree(old, ignore_errors=True)
    shutil.rmtree(state.fresh, ignore_errors=True)
    samples.mkdir(mode=0o700, exist_ok=True)
    state.fresh.mkdir(mode=0o700)
    return state


def settings_of(folder: Path) -> dict[str, int] | None:
    """Return `k` and `window_days` of a state's runs, None before the first one wrote them. Raises `BadState`."""
    path = folder / "settings.json"
    if not path.exists():
        return None
    try:
        settings = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        settings = None
    if (
        not isinstance(settings, dict)
        or settings.keys() != _DEFAULTS.keys()
        or any(type(value) is not int or value < 1 for value in settings.values())
    ):
        raise BadState(
            f"{path}: is damaged; write `{json.dumps(_DEFAULTS)}` with the numbers of the earlier runs"
        )
    return settings


def _same_settings(folder: Path, settings: dict[str, int]) -> None:
    path, earlier = folder / "settings.json", settings_of(folder)
    if earlier is None:
        _write(path, json.dumps(settings).encode() + b"\n")
    elif earlier != settings:
        raise BadState(
            f"{path}: was made with {earlier}, this run has {settings}; use the same, or a new folder"
        )


def _write(path: Path, content: bytes) -> None:
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    _to_disk(fresh)
    fresh.rename(path)
    _to_disk(path.parent)


def _to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
