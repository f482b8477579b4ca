"""The prompt-template fingerprint `ptf2` (PTF2.md)."""
