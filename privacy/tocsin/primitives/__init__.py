"""What every package of the core builds on: one byte cursor, one Ed25519, one way to mask secret bytes."""
