"""An option, or a combination of options, that cannot be meant."""

from __future__ import annotations


class BadUsage(ValueError):
    """Options that do not go together, or one out of its range; the message says what to give instead."""
