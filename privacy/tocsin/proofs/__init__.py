"""Portable proofs: what a third party verifies offline with charters that it trusts, one module per kind.

`verify.verify_proof` recognises every kind. Each module encodes, parses and verifies its own.
"""
