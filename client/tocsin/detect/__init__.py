"""Detection inside a member, over its own accounts."""
