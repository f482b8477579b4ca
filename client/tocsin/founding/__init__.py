"""Founding a federation: members, the charter, the keys. What the `member`, `charter` and `keys` commands call."""
