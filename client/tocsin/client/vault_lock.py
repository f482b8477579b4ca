"""One lock for all threads and processes that share a vault.

Rules
1. The lock is on an empty file beside the vault, `vault.db-lock` by `vault.db`. A process that ends, however it ends,
   releases it; the file stays.
2. A thread that holds the lock may take it again.
3. It is held while your node is asked, never while evaluators are. A call to the node has a deadline. Whoever waits for
   longer than a minute, for instance because the holder is stopped, gets an error.
"""

from __future__ import annotations

import fcntl
import os
import threading
from pathlib import Path
from types import TracebackType

from tocsin.client import deadline, system
from tocsin.client.errors import BadVault

WAIT_S = 60.0
_POLL_S = 0.02


class VaultLock:
    """The lock of one vault; a context manager. Raises `BadVault` where its file cannot be locked."""

    def __init__(self, vault: Path) -> None:
        file = vault.resolve()
        self._path = file.with_name(f"{file.name}-lock")
        self._thread = threading.RLock()
        self._depth = 0
        self._file = -1

    def __enter__(self) -> None:
        """Wait for the lock."""
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
        """Release the lock."""
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
    latest = system.monotonic() + WAIT_S
    while True:
        try:
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            deadline.check()
            if system.monotonic() >= latest:
                raise BadVault(
                    f"{path}: another process has held the lock for {WAIT_S:g} s; wait for that process or end it, "
                    "then try again"
                ) from None
        system.pause(_POLL_S)
