"""Asking before something leaves that cannot be called back unseen."""

from __future__ import annotations

import sys

from tocsin.cli.usage import BadUsage


def check_can_ask(command: str, *, yes: bool) -> None:
    """Check that somebody can be asked, or that `--yes` answers. Raises `BadUsage`."""
    if not (yes or (sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty())):
        raise BadUsage(
            f"{command} asks before it reports, and there is no terminal to ask on: look at --dry-run, then add --yes"
        )


def ask(question: str) -> bool:
    """Ask on standard error; anything but y or yes is no."""
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")
