"""A threshold verifiable OPRF over ristretto255: curve, RFC 9497, proofs, key shares, the protocol."""
