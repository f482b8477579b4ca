"""Names that certificates carry and diallers expect (SPEC.md §8)."""

from __future__ import annotations


def target_name(federation: str, member: bytes) -> str:
    """Return the DNS name of a member's node, which nothing resolves (M-8.4)."""
    return f"{member.hex()}.node.{federation}"
