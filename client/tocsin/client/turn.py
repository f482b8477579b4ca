"""One step at a time, among all threads and processes that share a vault.

Rules
1. A turn is a lock on an empty file beside the vault, `vault.db-turn` by `vault.db`. Whoever ends, however, gives it
   up; the file stays.
2. A thread that has the turn may take it again.
3. It is held while the own node is asked, never while evaluators are. A call to the node has a deadline; whoever waits
   for longer than a minute, since the holder is stopped, say, is told so.
"""

from __future__ import annotations

import fcntl
import os
import threading
from pathlib import Path
from types import TracebackType

from tocsin.client import system
from tocsin.client.errors import BadVault

WAIT_S = 60.0
_LOOK_S = 0.02


class Turn:
    """The turn of one vault; a context manager. Raises `BadVault` where its file cannot be locked."""

    def __init__(self, vault: Path) -> None:
        file = vault.resolve()
        self._path = file.with_name(f"{file.name}-turn")
        self._thread = threading.RLock()
        self._depth = 0
        self._file = -1

    def __enter__(self) -> None:
        """Wait for the turn."""
        self._thread.acquire()
        try:
            if self._depth == 0:
                self._file = _locked(self._path)
            self._depth += 1
        except BaseException:
            self._thread.release()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let the next one in."""
        self._depth -= 1
        if self._depth == 0:
            os.close(self._file)
        self._thread.release()


def _locked(path: Path) -> int:
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            _wait(path, file)
        except BaseException:
            os.close(file)
            raise
    except OSError as error:
        raise BadVault(
            f"{path}: cannot be locked ({error.strerror}); keep the vault in a folder that this user may write to, "
            "on a disk of this machine"
        ) from error
    return file


def _wait(path: Path, file: int) -> None:
    deadline = system.monotonic() + WAIT_S
    while True:
        try:
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if system.monotonic() >= deadline:
                raise BadVault(
                    f"{path}: another process has held it for {WAIT_S:g} s; let that one go on or end it, "
                    "then try again"
                ) from None
        system.pause(_LOOK_S)
