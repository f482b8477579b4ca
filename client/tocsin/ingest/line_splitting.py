"""Lines out of chunks, in bounded memory.

1. A line is the text between two newlines. It has at most 8 MiB: a longer one is skipped up to its newline and reported
   where it begins; meanwhile one chunk is held.
2. Each line comes with the byte at which it begins, and with whether a newline ends it.
"""

from __future__ import annotations

from collections.abc import Iterator

MAX_LINE = 8 << 20


# Stands for a line that is too long. It is neither JSON nor UTF-8, so no real line can be mistaken for it.
TOO_LONG = b"\xfe\xfetoo long"

# Where a line begins, the line without its newline, and whether it had one.
Line = tuple[int, bytes, bool]


def split(chunks: Iterator[bytes], offset: int = 0) -> Iterator[Line]:
    """The lines of `chunks`, of which the first byte is at `offset`. Raises what `chunks` raises."""
    tail = b""
    skipping = False
    for chunk in chunks:
        data = chunk
        if skipping:
            newline = data.find(b"\n")
            if newline < 0:
                offset += len(data)
                continue
            offset += newline + 1
            data = data[newline + 1 :]
            skipping = False
        elif tail:
            data = tail + data
        lines = data.split(b"\n")
        tail = lines.pop()
        for line in lines:
            if len(line) > MAX_LINE:
                yield offset, TOO_LONG, True
            else:
                yield offset, line, True
            offset += len(line) + 1
        if len(tail) > MAX_LINE:
            yield offset, TOO_LONG, False
            offset += len(tail)
            tail, skipping = b"", True
    if tail:
        yield offset, tail, False
