"""An explanation that the casebook keeps, in words and numbers, without its values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def reason_in_words(reason: Mapping[str, Any]) -> str:
    """Say what one value adds, who reported it, and how common it is here."""
    who = [f"{reason['own']:,} of your confirmed accounts"] if reason["own"] else []
    if reason["reporters"]:
        disputed = reason["disputed"]
        names = [f"{name} (disputed)" if name in disputed else name for name in reason["reporters"]]
        who.append(f"reported by {', '.join(names)}")
    hub = "; a hub, joins nobody" if reason["hub"] else ""
    why = " and ".join(who) or "known as bad"
    return (
        f"`{reason['type']}` {reason['bits']:g} bits, counts {reason['counts']:g}: {why}; "
        f"held by {reason['holders']:,} of {reason['established']:,} established accounts{hub}"
    )


def reporters(explanation: Mapping[str, Any]) -> list[str]:
    """Return the names of all members that reported some of it."""
    return sorted({name for reason in explanation.get("reasons", ()) for name in reason["reporters"]})
