"""The casebook: one small database in which a team keeps flags, verdicts, notes and campaigns, and who did what.

1. It holds account ids and keyed hashes, never values: what is shown is read from the holdings (M-7.7).
2. One flag is given to one person: a claim ends by itself.
3. The history is only added to, by code and by triggers in the database; each row carries the hash of the one before.
4. Nothing here blocks an account.
"""
