"""Detection inside one member, over its own accounts: holdings and signals become weights, scores, flags and a queue.

Nothing here blocks an account: what comes out is a flag with its explanation, for a person to decide.
"""
