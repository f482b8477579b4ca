"""A federation in one process: members that detect, review and share day by day, over a population of accounts.

Everything but the curve is the product's own: the detector's rounds, the review queue, labels with their buckets and
weeks. Blind evaluation and tags are replaced by one keyed hash of a value (`population.KEYED_HASH`), since a million
accounts hold millions of values: two members match where both hold the value, exactly as with evaluated outputs.
"""
