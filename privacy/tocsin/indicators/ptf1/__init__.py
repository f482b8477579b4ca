"""The prompt-template fingerprint `ptf1` (PTF1.md)."""
