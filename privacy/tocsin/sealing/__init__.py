"""Peppers, secrets, tags, boxes and labels: what turns an OPRF output into an entry that only holders read."""
