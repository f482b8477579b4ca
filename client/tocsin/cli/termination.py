"""SIGTERM ends a long command as an interrupt does: what it began is cleaned up, and the exit code is 143."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from tocsin.cli.output import fail

EXIT_TERMINATED = 128 + signal.SIGTERM


@contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """Raise SystemExit where the signal arrives, so that contexts end in order. For the main thread."""

    def end(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # cleaning up is not to be interrupted
        raise SystemExit(EXIT_TERMINATED)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    except SystemExit:
        fail("ended by SIGTERM")
        raise
    finally:
        signal.signal(signal.SIGTERM, before)
