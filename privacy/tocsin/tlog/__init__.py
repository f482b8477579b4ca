"""Append-only logs of entries: RFC 6962 trees, C2SP notes, checkpoints, cosignatures, proofs and tiles."""
