"""Wire messages to values and back, one module a service.

1. Every byte that arrives is parsed once, here, by one pair of functions whoever sends and whoever receives: `parse_*`
   reads a message, `build_*` makes one. Nothing here decides anything else.
2. Counts are checked before anything is done per item, lengths before any curve work (M-10.4).
3. What a parse function returns is trusted to be well formed by everything behind it. What it does not take is
   `Malformed`, with the field, its index where there are many, and the reason that the .proto's comments list.
"""
