"""Prompt templates: found by their bands, reported with a record and band entries, and what the vault keeps of them."""
