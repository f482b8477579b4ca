"""What a team shows others: a campaign's page, the folder for Legal, and what the federation is worth.

1. Everything is read from the casebook, the detector's runs and verified proofs; nothing here changes a flag.
2. Values and account ids are shown only where the command was asked to; TLP is honoured.
"""
